"""Beam search: the partial trajectories with the highest sum of step rewards go on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks, segments
from milepost.columns import End
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told, prune, top
from milepost.sampling.branching.hooks import Scorer


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Every open step gets `branch` children; of all steps of a root the `width` best go on, the others are PRUNED.

    A step is as good as the sum of the rewards on its path. Finished trajectories keep their place in the beam as long
    as they are among the best; a step whose reward failed is pruned.

    Example:
        >>> Beam(width=3, branch=2, scorer=lambda forest, rows: forest).width
        3
    """

    scorer: Scorer
    """Scores steps after the environment answered."""
    width: int = 4
    """Trajectories of a root that go on."""
    branch: int = 2
    """Children of each of them; a root has at least `width`."""

    def __post_init__(self) -> None:
        """Check both numbers."""
        checks.at_least("width", self.width, 1)
        checks.at_least("branch", self.branch, 1)

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:
        """Children below every step of the beam."""
        rows = forest.open_rows()
        if len(rows) == 0:
            return None
        count = self.branch if state.extensions else max(self.width, self.branch)
        return Extension(rows=rows, counts=torch.full_like(rows, count))

    def review(self, forest: Forest, rows: Tensor, state: Told) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Score the new steps, and prune those that are not among the best."""
        forest = self.scorer(forest, rows)
        counts = forest["ok.total"] & forest.valid("reward.total")
        earned = torch.where(counts, forest["reward.total"].double(), 0)
        fine = counts & (forest["end"] != int(End.PRUNED)) & (segments.child_count(forest.parent) == 0)
        within = top(segments.path_sum(earned, forest.parent), forest.root_of(), fine, count=self.width)
        lost = (forest["end"][rows] == int(End.OPEN)) & ~within[rows]
        return prune(forest, rows[lost])

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)
