"""Truncated step-level sampling: several candidates at every step, one of which is executed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.columns import End
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.part import Extension, Selector
from milepost.sampling.branching.choosing import Told, prune
from milepost.sampling.branching.hooks import Scorer


@dataclass(frozen=True, kw_only=True)
class StepLevel:
    """One trajectory per root: at every step `width` candidates are drawn and scored, and one is executed.

    The environment answers the chosen candidate only. The others stay as ended rows: PRUNED, or what ended them
    themselves. Where no candidate can be chosen the trajectory ends.

    Source: SLATE, the truncated sampler.   Limits: an environment of one step gives the groups of `Independent`.

    Example:
        >>> from milepost.sampling.branching.choosing import HighestReward
        >>> StepLevel(width=4, scorer=lambda forest, rows: forest, selector=HighestReward()).width
        4
    """

    scorer: Scorer
    """Scores candidates before the environment answers."""
    selector: Selector
    """Chooses one candidate of each group."""
    width: int = 5
    """Candidates at every step; with one there is nothing to compare."""

    def __post_init__(self) -> None:
        """Check the width."""
        checks.at_least("width", self.width, 2)

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:  # noqa: ARG002 - the sampler protocol
        """Candidates below every open leaf."""
        rows = forest.open_rows()
        return Extension(rows=rows, counts=torch.full_like(rows, self.width)) if len(rows) else None

    def screen(self, forest: Forest, rows: Tensor, state: Told) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Score the candidates, and prune those that are not chosen."""
        forest = self.scorer(forest, rows)
        fit = rows[forest["end"][rows] == int(End.OPEN)]
        chosen = self.selector(forest, fit) if len(fit) else fit
        parents = forest.parent[chosen]
        if not bool(torch.isin(chosen, fit).all()) or len(parents.unique()) < len(parents):
            raise ShapeError(
                f"The selector chose rows {chosen[:8].tolist()}: expected at most one of the candidates of each parent."
            )
        return prune(forest, fit[~torch.isin(fit, chosen)])

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)
