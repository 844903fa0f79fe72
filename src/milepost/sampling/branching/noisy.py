"""Trees that branch at the steps that have noise, wherever a sliding window has put them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told


class Levels(Protocol):
    """Says which steps have noise, such as `policies.flow.process.Process`."""

    def levels(self, version: int) -> Tensor:
        """Noise level of every step after so many updates of the policy, 0 where a step has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoisyTree:
    """Trajectories share what has no noise: the k-th step with noise has `widths[k]` children, every other step one.

    Each child of the root is a draw of the first noise and the top of a tree of its own; all of them are one group.
    With depth d, window position w and T steps a binary tree costs w + (2^d - 1) + 2^d (T - w - d) model calls, where
    2^d independent trajectories cost T 2^d.

    Source: Dynamic-TreeRPO, arXiv:2509.23352.   Limits: widths (G, 1, ..., 1) are G trajectories that share their first
    noise and the steps before the window, as in MixGRPO; widths of 1 give `Independent`.

    Example:
        >>> from types import SimpleNamespace
        >>> told = SimpleNamespace(levels=lambda version: torch.tensor([0.0, 0.5, 0.5]))
        >>> NoisyTree(process=told, widths=(2, 3)).counts(torch.tensor([0, 1, 2, 3]), 0).tolist()
        [1, 1, 2, 3]
    """

    process: Levels
    """The sampling process of the policy, whose version says where the window is."""
    widths: tuple[int, ...] = (2, 2, 2, 2)
    """Children at the steps with noise, in their order; further ones have one."""
    trees: int = 1
    """Draws of the first noise."""

    def __post_init__(self) -> None:
        """Check the numbers, and that there is a step with noise for each width."""
        checks.not_empty("widths", self.widths)
        checks.at_least("trees", self.trees, 1)
        for width in self.widths:
            checks.at_least("widths", width, 1)
        noisy, steps = int((self.process.levels(0) > 0).sum()), len(self.process.levels(0))
        if noisy < len(self.widths):
            raise SettingError(
                f"widths={self.widths} fork at {len(self.widths)} steps with noise, but only {noisy} of {steps} "
                f"denoising steps have any, and the last never has: a tree would have fewer images. Take "
                f"at least {len(self.widths) + 1} denoising steps, or fewer widths."
            )

    def counts(self, depth: Tensor, version: int) -> Tensor:
        """Children of rows by the number of steps before them, the draw of the noise included.

        Args:
            depth: of the rows, 0 for roots.
            version: updates that the policy has seen.

        Returns:
            int64, at least 1.
        """
        noisy = self.process.levels(version) > 0
        place = (noisy.cumsum(0) - 1).clamp(0, len(self.widths) - 1)
        width = torch.where(noisy & (noisy.cumsum(0) <= len(self.widths)), torch.tensor(self.widths)[place], 1)
        by_depth = torch.cat((torch.tensor([self.trees]), width, torch.ones(1, dtype=torch.int64)))
        return by_depth[depth.clamp(max=len(by_depth) - 1)]

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:  # noqa: ARG002 - the sampler protocol
        """Every open leaf, as wide as its place in the window says."""
        rows = forest.open_rows()
        if len(rows) == 0:
            return None
        return Extension(rows=rows, counts=self.counts(forest.depth()[rows], int(forest["policy_version"][0])))

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)
