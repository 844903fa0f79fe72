"""Independent trajectories: every task is answered equally often, and nothing branches below the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Extension


@dataclass(frozen=True, kw_only=True)
class Begun:
    """State of `Independent`: whether the roots have their children yet."""

    roots: bool


@dataclass(frozen=True, kw_only=True)
class Independent:
    """`width` independent trajectories from every root, each extended by one step until it ends.

    The children of a root are the group of GRPO and its relatives.

    Source: the sampler of GRPO, arXiv:2402.03300, section 4.1.

    Example:
        >>> from milepost.sampling.independent import Independent
        >>> Independent(width=8).width
        8
    """

    width: int = 8
    """Trajectories per task."""

    def __post_init__(self) -> None:
        """Check the width."""
        checks.at_least("width", self.width, 1)

    def init(self, forest: Forest, key: int) -> Begun:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Begun(roots=False)

    def ask(self, forest: Forest, state: Begun) -> Extension | None:
        """All roots at first, then every open leaf, then None."""
        rows = forest.open_rows() if state.roots else forest.roots()
        if len(rows) == 0:
            return None
        width = 1 if state.roots else self.width
        return Extension(rows=rows, counts=torch.full_like(rows, width))

    def tell(self, forest: Forest, rows: Tensor, state: Begun) -> Begun:  # noqa: ARG002 - the sampler protocol
        """Remember that the roots were extended."""
        return Begun(roots=True)
