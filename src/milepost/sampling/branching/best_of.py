"""Best of n: whole trajectories are drawn and scored, and the best of each task are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.backup import at_or_above
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told, top
from milepost.sampling.branching.hooks import Scorer


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """`of` independent trajectories per root, of which the `kept` with the highest reward are marked in `keep`.

    All of them stay in the forest, with the end they came to and what they cost. A trajectory whose reward failed is
    never kept.

    Example:
        >>> BestOf(of=4, scorer=lambda forest, rows: forest).kept
        1
    """

    scorer: Scorer
    """Scores finished trajectories."""
    of: int = 8
    """Trajectories per root."""
    kept: int = 1
    """How many of them to keep."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.at_least("kept", self.kept, 1)
        if self.of < self.kept:
            raise SettingError(f"of={self.of} trajectories cannot hold kept={self.kept}: draw at least as many.")

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:
        """All roots at first, then every open leaf, then None."""
        rows = forest.open_rows()
        if len(rows) == 0:
            return None
        return Extension(rows=rows, counts=torch.full_like(rows, 1 if state.extensions else self.of))

    def review(self, forest: Forest, rows: Tensor, state: Told) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Once all have ended, score them and mark the best."""
        if len(forest.open_rows()):
            return forest
        leaf = forest.leaves()
        leaf = leaf[forest.parent[leaf] >= 0]
        forest = self.scorer(forest, leaf)
        best = top(forest["reward.total"][leaf], forest.root_of()[leaf], forest["ok.total"][leaf], count=self.kept)
        marked = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, leaf[best], True)
        return forest.with_columns({"keep": at_or_above(marked, forest.parent)})

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)
