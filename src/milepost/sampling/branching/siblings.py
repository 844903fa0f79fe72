"""Siblings at every step: all of them are executed, one goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from milepost import checks
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.part import Extension, Selector
from milepost.sampling.branching.choosing import HighestReward, Told, prune
from milepost.sampling.branching.hooks import Scorer


@dataclass(frozen=True, kw_only=True)
class Siblings:
    """One trajectory per root: at every step `width` candidates are drawn, executed and judged, and one goes on.

    Each candidate is executed in the state before it, so that none sees what another did. The others end as PRUNED, an
    answer of theirs included: only that of a chosen candidate counts. Where none could be judged the first goes on, and
    nothing is learned from that step.

    Source: SPORT, step sampling and step verification.   Limits: width 1 is one independent trajectory.

    Example:
        >>> Siblings(width=3, scorer=lambda forest, rows: forest).width
        3
    """

    scorer: Scorer
    """Judges candidates after the environment answered."""
    selector: Selector = field(default_factory=HighestReward)
    """Chooses one candidate of each group."""
    width: int = 5
    """Candidates at every step."""

    def __post_init__(self) -> None:
        """Check the width."""
        checks.at_least("width", self.width, 1)

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:  # noqa: ARG002 - the sampler protocol
        """Candidates below every open leaf."""
        rows = forest.open_rows()
        return Extension(rows=rows, counts=torch.full_like(rows, self.width)) if len(rows) else None

    def review(self, forest: Forest, rows: Tensor, state: Told) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Judge the candidates, and prune those that are not chosen."""
        if self.width == 1:
            return forest
        forest = self.scorer(forest, rows)
        chosen = self.selector(forest, rows)
        above = forest.parent[chosen]
        if not bool(torch.isin(chosen, rows).all()) or len(above.unique()) < len(above):
            raise ShapeError(
                f"The selector chose rows {chosen[:8].tolist()}: expected at most one of the candidates of each parent."
            )
        unjudged = rows[~torch.isin(forest.parent[rows], above)]
        first = unjudged[_begins(forest.parent[unjudged])]
        return prune(forest, rows[~torch.isin(rows, torch.cat((chosen, first)))])

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)


def _begins(parent: Tensor) -> Tensor:
    """The first row of each parent; the children of one parent stand together."""
    begins = torch.ones(len(parent), dtype=torch.bool)
    begins[1:] = parent[1:] != parent[:-1]
    return begins
