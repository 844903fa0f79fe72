"""Credit of single steps by their own reward: which steps are compared with each other is a part of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, cast

import torch
from jaxtyping import Int
from torch import Tensor

from milepost.columns import Origin
from milepost.credit.compare import Compared, GroupRule, GroupSums, earned
from milepost.credit.group import Normalised, zero_sums
from milepost.forest import Forest


class Among(Protocol):
    """Which steps are compared with each other."""

    def __call__(self, forest: Forest) -> Int[Tensor, " n"]:
        """Group of every row, in [0, 2 n)."""
        ...


@dataclass(frozen=True, kw_only=True)
class SameParent:
    """Steps of one parent: the same context, so the comparison is of nothing but the choice.

    Example:
        >>> SameParent()(Forest.of([-1, 0, 0])).tolist()
        [3, 0, 0]
    """

    def __call__(self, forest: Forest) -> Int[Tensor, " n"]:
        """Group of every row."""
        return forest.siblings()


@dataclass(frozen=True, kw_only=True)
class SameRoot:
    """All steps of all trajectories of a root, as OPRL compares them.

    Example:
        >>> SameRoot()(Forest.of([-1, 0, 1])).tolist()
        [0, 0, 0]
    """

    def __call__(self, forest: Forest) -> Int[Tensor, " n"]:
        """Group of every row."""
        return forest.root_of()


@dataclass(frozen=True, kw_only=True)
class SameTurn:
    """Steps of one root with the same number of steps before them.

    Biased where the policy chooses when to stop. A trajectory that ends early is missing from the later groups: their
    mean is that of those who went on, and the choice to stop is never compared with going on. What going on earns later
    is lost as a signal or appears as a bonus for length. Use it only where all trajectories are equally long.

    Source: per-turn baselines of multi-turn GRPO; verl issue 7244 derives the hidden length bonus.

    Example:
        >>> SameTurn()(Forest.of([-1, 0, 0, 1])).tolist()
        [0, 1, 1, 2]
    """

    def __call__(self, forest: Forest) -> Int[Tensor, " n"]:
        """Group of every row."""
        place = torch.stack((forest.root_of(), forest.depth()), 1)
        return cast("tuple[Tensor, Tensor]", place.unique(dim=0, return_inverse=True))[1]


def compare_steps(forest: Forest, name: str, among: Among) -> Compared:
    """Compare steps by their own reward, whatever follows them.

    Args:
        forest: with `reward.<name>` and `ok.<name>`.
        name: name of the reward.
        among: which steps are compared with each other.

    Returns:
        One entry per row below a root that nobody inserted; ok where the row has the reward.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    value = earned(forest, name)
    has = forest[f"ok.{name}"] & forest.valid(f"ok.{name}") & forest.valid(f"reward.{name}")
    chosen = forest.parent >= 0
    if "origin" in forest:
        chosen &= (forest["origin"] != int(Origin.INSERTED)) | ~forest.valid("origin")
    row = chosen.nonzero().squeeze(1)
    return Compared(row=row, value=value[row], group=among(forest)[row], groups=2 * len(forest), ok=has[row])


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Credit of a step: its own reward compared with that of others, by the rule of a group.

    By default the others are its siblings, as in truncated step-level sampling. It is the credit of immediate rewards:
    what a step makes possible later is not in it (see `values.TreeValues`). A step without reward has no credit, a step
    without others has 0: nothing is inherited.

    Source: SLATE, the step group.   Limits: answers of one step give GRPO's credit.

    Example:
        >>> forest = Forest.of([-1, 0, 0], {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]})
        >>> Steps(rule=Normalised(eps=0.0))(forest)["advantage"].tolist()
        [0.0, 1.0, -1.0]
    """

    writes = ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    reward: str = "total"
    """Name of the reward of steps."""
    among: Among = field(default_factory=SameParent)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs; `origin` where there is one."""
        return (f"reward.{self.reward}", f"ok.{self.reward}", "origin")

    def compare(self, forest: Forest) -> Compared:
        """Steps by their own reward."""
        return compare_steps(forest, self.reward, self.among)

    def sums(self, forest: Forest) -> GroupSums:
        """Every group sums to 0."""
        return zero_sums(self.compare(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = self.compare(forest)
        credit, size = self.rule.of(compared), len(forest)
        value = torch.zeros(size, dtype=credit.dtype).index_copy(0, compared.row, credit)
        ok = torch.zeros(size, dtype=torch.bool).index_copy(0, compared.row, compared.ok)
        return forest.with_columns({"advantage": value}).with_valid("advantage", ok)
