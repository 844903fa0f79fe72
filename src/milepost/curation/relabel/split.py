"""Which trajectories keep their actions: the benchmark split of semi-supervised offline learning, as pure functions.

Source: Zheng et al. 2023 (SS-ORL), section on the experimental set-up; the published code draws in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, keys
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.traces.moves import moves_of, returns


def lowest(returns: Float[Tensor, " m"], quality: float) -> Bool[Tensor, " m"]:
    """Say which trajectories are among the worst.

        lowest = the int(m q) trajectories of the smallest return; of equal ones the first

    Args:
        returns: one number per trajectory, in reward units.
        quality: share q, in (0, 1].

    Returns:
        One flag per trajectory.

    Raises:
        SettingError: `quality` outside (0, 1].

    Limits: q = 1 is all of them.

    Example:
        >>> lowest(torch.tensor([3.0, 1.0, 2.0, 0.0]), 0.5).tolist()
        [False, True, False, True]
    """
    checks.within("quality", quality, 0.0, 1.0)
    checks.positive("quality", quality)
    chosen = torch.zeros(len(returns), dtype=torch.bool)
    chosen[torch.argsort(returns, stable=True)[: int(len(returns) * quality)]] = True
    return chosen


def labelled(returns: Float[Tensor, " m"], *, share: float, quality: float, key: int) -> Bool[Tensor, " m"]:
    """Draw the trajectories that keep their actions from the worst ones.

        |L| = min(int(m p), int(m q)), drawn without replacement from the int(m q) trajectories of the smallest return

    Args:
        returns: one number per trajectory, in reward units.
        share: p, the share that keeps its actions, in (0, 1].
        quality: q, the share that they are drawn from, in (0, 1].
        key: decides what is drawn.

    Returns:
        One flag per trajectory.

    Raises:
        SettingError: a share outside (0, 1], or no trajectory would keep its actions.

    Limits: p = q = 1 keeps all.
    """
    checks.within("share", share, 0.0, 1.0)
    checks.positive("share", share)
    pool = lowest(returns, quality).nonzero().squeeze(1)
    count = min(int(len(returns) * share), len(pool))
    if count == 0:
        raise SettingError(
            f"A share of {share} of {len(returns)} trajectories, out of the lowest {quality}, is none: nothing would "
            "be learned from. Give more trajectories or a larger share."
        )
    order = keys.generator(keys.fold(key, "labelled")).permutation(len(pool))[:count]
    chosen = torch.zeros(len(returns), dtype=torch.bool)
    chosen[pool[torch.from_numpy(order)]] = True
    return chosen


def hidden(forest: Forest, keeps: Bool[Tensor, " m"]) -> Forest:
    """Make the actions of the other trajectories unknown: they are overwritten with 0, so that nothing can see them.

    Args:
        forest: trajectories with `action`.
        keeps: per root, whether the actions below it stay.

    Returns:
        The forest; `action` is valid where it stays.
    """
    root = torch.zeros(len(forest), dtype=torch.int64)
    root[forest.roots()] = torch.arange(len(keeps))
    stays = keeps[root[forest.root_of()]] & forest.valid("action")
    action = forest["action"]
    blank = torch.where(stays.reshape(-1, *[1] * (action.dim() - 1)), action, torch.zeros_like(action))
    return forest.with_columns({"action": blank}).with_valid("action", stays)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Trajectories after the split."""

    forest: Forest
    """Actions are valid in the labelled trajectories only."""
    labelled: Bool[Tensor, " m"]
    inside: Bool[Tensor, " m"]
    """Without actions, of the returns that labelled ones have."""
    outside: Bool[Tensor, " m"]
    """Without actions, of better returns."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Hides the actions of all but some of the worst trajectories."""

    share: float = 0.1
    """Share that keeps its actions; 1 keeps all, whatever `quality` is."""
    quality: float = 0.5
    """Share of the worst trajectories that they are drawn from."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value in (("share", self.share), ("quality", self.quality)):
            checks.within(name, value, 0.0, 1.0)
            checks.positive(name, value)

    def __call__(self, forest: Forest, key: int) -> Cut:
        """Split.

        Args:
            forest: trajectories with all their actions.
            key: decides what is drawn.

        Returns:
            The forest with hidden actions, and which trajectories are which.

        Raises:
            SettingError: no trajectory would keep its actions.
        """
        total = returns(moves_of(forest))
        quality = 1.0 if self.share == 1.0 else self.quality
        keeps = labelled(total, share=self.share, quality=quality, key=key)
        low = lowest(total, quality)
        return Cut(forest=hidden(forest, keeps), labelled=keeps, inside=low & ~keeps, outside=~low & ~keeps)
