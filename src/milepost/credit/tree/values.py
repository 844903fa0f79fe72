"""Values backed up a tree, and credit as what a step adds to the value of the state it was taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import torch

from milepost import backup, checks, segments
from milepost.credit.compare import PathSums, earned, unfailed
from milepost.forest import Forest
from milepost.segments import Backup, Reduce


class Reduction(Protocol):
    """How the values of siblings become that of the state above them."""

    @property
    def reduce(self) -> Reduce:
        """The grouped reduction; of one row it is the row's value."""
        ...


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of the children: an unbiased estimate of the policy's own value.

    Example:
        >>> Mean().reduce is segments.group_mean
        True
    """

    @property
    def reduce(self) -> Reduce:
        """Mean of a group."""
        return segments.group_mean


@dataclass(frozen=True, kw_only=True)
class SoftMean:
    """T log of the mean of exp(value / T): the value of the best policy at a price of T per nat.

    Source: soft Bellman backup, as in Diffusion Tree Sampling.   Limits: T -> 0 is `Best`, T -> infinity `Mean`.

    Example:
        >>> SoftMean(temperature=0.5).temperature
        0.5
    """

    temperature: float = 1.0
    """In reward units."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    @property
    def reduce(self) -> Reduce:
        """Soft mean of a group."""
        return partial(segments.group_soft_mean, temperature=self.temperature)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The largest of the children: the value of taking the best step seen. Its estimate is biased upwards.

    Example:
        >>> Best().reduce is segments.group_max
        True
    """

    @property
    def reduce(self) -> Reduce:
        """Maximum of a group."""
        return segments.group_max


@dataclass(frozen=True, kw_only=True)
class TreeValues:
    """Credit of a step: its return less the value of the state it was taken in.

        return_i    = reward_i + discount_i value_i
        value_i     = reduction of return_j over the children j of i;  0 below a leaf
        advantage_i = return_i - value_{parent_i}

    With `Mean` this is the sibling-centred worth; a step without siblings adds nothing and has 0, nothing is inherited.
    Along a path whose discounts are 1 credit adds up to the trajectory's reward less the value of its root.

    Source: Bellman's recursion on sampled trees, as in TreeRPO, arXiv:2506.05183.   Limits: a forest that branches at
    its roots only gives `group.Centred` on the first steps; a full tree gives the exact values of its states.

    Example:
        >>> tree = {"reward.total": [None, None, 2.0, 1.0, 0.0], "ok.total": [False, False, True, True, True]}
        >>> found = TreeValues()(Forest.of([-1, 0, 0, 1, 1], tree))
        >>> found["value"].tolist(), found["advantage"][1:].tolist()
        ([1.25, 0.5, 0.0, 0.0, 0.0], [-0.75, 0.75, 0.5, -0.5])
    """

    writes = ("advantage", "value", "return")
    reduction: Reduction = field(default_factory=Mean)
    reward: str = "total"

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs; `discount` where there is one."""
        return (f"reward.{self.reward}", f"ok.{self.reward}", "discount")

    def backed_up(self, forest: Forest) -> Backup:
        """Values of the states and steps of a forest, float64."""
        reward, ok = earned(forest, self.reward), unfailed(forest, (self.reward,))
        discount = forest["discount"].double() if "discount" in forest else torch.ones_like(reward)
        return backup.backup(
            reward, discount, torch.zeros_like(reward), forest.parent, ok, reduce=self.reduction.reduce
        )

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`, `value` and `return`."""
        found = self.backed_up(forest)
        below = forest.parent >= 0
        gain = found.step - found.state[forest.parent.clamp(min=0)]
        gain = torch.where(found.ok & below, gain, 0)
        columns = {"advantage": gain, "value": found.state, "return": torch.where(below, found.step, 0)}
        forest = forest.with_columns({name: value.float() for name, value in columns.items()})
        return (
            forest.with_valid("advantage", found.ok & below)
            .with_valid("value", found.ok)
            .with_valid("return", found.ok & below)
        )

    def path_sums(self, forest: Forest) -> PathSums:
        """Down to a leaf that counts, over inner discounts of 1: its reward less the value of its root."""
        found = self.backed_up(forest)
        earn = torch.where(forest.parent >= 0, earned(forest, self.reward), 0)
        leaf = forest.leaves()
        whole = torch.ones(len(forest), dtype=torch.bool)
        if "discount" in forest:
            inner = segments.child_count(forest.parent) > 0
            whole = segments.path_sum((inner & (forest["discount"] != 1)).long(), forest.parent) == 0
        leaf = leaf[found.ok[leaf] & whole[leaf] & (forest.parent[leaf] >= 0)]
        total = segments.path_sum(earn, forest.parent)[leaf]
        return PathSums(leaf=leaf, expected=total - found.state[forest.root_of()[leaf]])
