"""Groups of answers: the trajectories of one tree, their rewards and their spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from milepost.report.stored.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviations of some numbers."""

    count: int
    mean: float
    """NaN when nothing counts."""
    std: float
    """Divisor n; exactly 0 for equal numbers."""
    sample_std: float
    """Divisor n - 1; 0 when fewer than two count."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The trajectories of one tree."""

    root: int
    leaves: tuple[int, ...]
    rewards: tuple[float | None, ...]
    """Return of each trajectory, what its steps earned together; None where it failed."""
    spread: Spread
    scored: bool = True
    """Whether the forest has that reward at all."""
    credit: float | None = None
    """Largest size of a step's credit; None where no credit is stored."""

    @property
    def failed(self) -> int:
        """Trajectories whose return does not count."""
        return sum(value is None for value in self.rewards) if self.scored else 0

    @property
    def dead(self) -> bool:
        """Whether nothing can be learned: no step has credit, or, where none is stored, no answer differs in reward."""
        taught = self.spread.std if self.credit is None else self.credit
        return self.spread.count > 1 and taught == 0


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and standard deviations of the values that are known.

        mean = sum_i v_i / n,   std^2 = sum_i (v_i - mean)^2 / n,   sample_std^2 = sum_i (v_i - mean)^2 / (n - 1)

    Args:
        values: numbers; None where unknown.

    Returns:
        The spread; equal numbers give exactly 0.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Spread(count=0, mean=math.nan, std=0.0, sample_std=0.0)
    gains = [value - known[0] for value in known]  # equal numbers become exactly 0 before any sum
    shift = math.fsum(gains) / len(known)
    square = math.fsum((gain - shift) ** 2 for gain in gains)
    rest = max(len(known) - 1, 1)
    return Spread(
        count=len(known),
        mean=known[0] + shift,
        std=math.sqrt(square / len(known)),
        sample_std=math.sqrt(square / rest),
    )


def returned(steps: Steps, leaf: int, reward: str) -> float | None:
    """What the steps of a trajectory earned together.

        return = sum of reward_i over the steps i below the root, down to the leaf, that have a reward

    Args:
        steps: a stored forest.
        leaf: row that ends the trajectory.
        reward: name of the reward to read.

    Returns:
        The sum, without discount; None where no step has the reward, or one failed with a reason.
    """
    path = steps.path(leaf)[1:]
    known = [value for row in path if (value := steps.number(f"reward.{reward}", row)) is not None]
    if not known or any(steps.text(f"reason.{reward}", row) is not None for row in path):
        return None
    return math.fsum(known)


def mean_credit(steps: Steps, leaf: int) -> float | None:
    """Mean credit of the steps of a trajectory; None where no step has any.

    mean of advantage_i over the steps i from the root to the leaf that have credit
    """
    known = [value for row in steps.path(leaf) if (value := steps.number("advantage", row)) is not None]
    return math.fsum(known) / len(known) if known else None


def group(steps: Steps, root: int, reward: str | None) -> Group:
    """Read the trajectories of one tree.

    Args:
        steps: a stored forest.
        root: a row without a parent.
        reward: name of the reward to read; None if there is none.

    Returns:
        The group.
    """
    leaves = steps.leaves_below(root)
    rewards = tuple(None if reward is None else returned(steps, leaf, reward) for leaf in leaves)
    credits = [abs(value) for row in steps.trees[root] if (value := steps.number("advantage", row)) is not None]  # noqa: A001
    return Group(
        root=root,
        leaves=leaves,
        rewards=rewards,
        spread=spread(rewards),
        scored=reward is not None,
        credit=max(credits, default=None),
    )


def groups(steps: Steps, reward: str | None) -> tuple[Group, ...]:
    """Read every tree of a forest that has a trajectory.

    Args:
        steps: a stored forest.
        reward: name of the reward to read; None if there is none.

    Returns:
        One group per tree, in the order of the roots.
    """
    found = (group(steps, root, reward) for root in steps.roots)
    return tuple(one for one in found if one.leaves)


def worth(steps: Steps, root: int, reward: str | None) -> Mapping[int, float | None]:
    """What each step of a tree is worth: its reward and the mean of what follows it.

        worth_i = reward_i + discount_i * mean of worth_j over the children j of i that count

    Args:
        steps: a stored forest.
        root: the tree's root.
        reward: name of the reward to read; None if there is none.

    Returns:
        One number per row of the tree; None where the reward failed, or where no child counts.
    """
    rows = steps.trees[root]
    found: dict[int, float | None] = dict.fromkeys(rows)
    if reward is None:
        return found
    for row in reversed(rows):
        own, below = steps.number(f"reward.{reward}", row), steps.children[row]
        if not below or (own is None and steps.text(f"reason.{reward}", row) is not None):
            found[row] = own
            continue
        known = [value for child in below if (value := found[child]) is not None]
        if known:
            discount = steps.number("discount", row)
            follow = spread(known).mean
            found[row] = (own or 0.0) + (1.0 if discount is None else discount) * follow
    return found


def quantile(values: Sequence[float], probability: float) -> float:
    """Quantile by linear interpolation between order statistics.

        q = v_(floor h) + (h - floor h) (v_(floor h + 1) - v_(floor h)),   h = p (n - 1)

    Args:
        values: finite numbers.
        probability: p in [0, 1].

    Returns:
        The quantile; NaN for no values.

    Source: Hyndman and Fan 1996, type 7.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    place = probability * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
