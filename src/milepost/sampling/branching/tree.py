"""Full trees: every step branches, as wide as its depth says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A tree whose rows at depth d have `widths[d]` children, and one child below that.

    Source: tree rollouts as in TreeRPO, arXiv:2506.05183.   Limits: one width gives `Independent`.

    Example:
        >>> Tree(widths=(4, 2)).widths
        (4, 2)
    """

    widths: tuple[int, ...] = (4, 2)
    """Children of a root, of its children, and so on."""

    def __post_init__(self) -> None:
        """Check the widths."""
        checks.not_empty("widths", self.widths)
        for width in self.widths:
            checks.at_least("widths", width, 1)

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:  # noqa: ARG002 - the sampler protocol
        """Every open leaf, as wide as its depth says."""
        rows = forest.open_rows()
        if len(rows) == 0:
            return None
        width = torch.tensor([*self.widths, 1])
        return Extension(rows=rows, counts=width[forest.depth()[rows].clamp(max=len(self.widths))])

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the levels."""
        return Told(extensions=state.extensions + 1)
