"""Which steps are compared with each other, and what follows for all others: the frame that every group credit shares.

A step is worth its own reward and the mean of what follows. A trajectory counts when its leaf has an ok reward and no
step on it failed; a step counts when it lies on a trajectory that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import backup, segments
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.part import State


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Rows of a forest in groups whose members are compared; `ok` says which of them count."""

    row: Int[Tensor, " n"]
    """Row of the forest."""
    value: Float[Tensor, " n"]
    """What is compared, float64, in reward units; 0 where not ok."""
    group: Int[Tensor, " n"]
    """Group of each entry, in [0, groups)."""
    groups: int
    ok: Bool[Tensor, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Worth:
    """What each row of a forest is worth, and whether it lies on a trajectory that counts."""

    value: Float[Tensor, " n"]
    """float64, in reward units; 0 where not ok."""
    ok: Bool[Tensor, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupSums:
    """What a rule promises of the sum of the credit of each group: it lies in [low, high]."""

    compared: Compared
    low: Float[Tensor, " g"]
    high: Float[Tensor, " g"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PathSums:
    """What a rule promises of the sum of the credit from below the root down to each of the given leaves."""

    leaf: Int[Tensor, " l"]
    expected: Float[Tensor, " l"]


class GroupRule(Protocol):
    """Credit inside groups: the part of a credit rule that does not know where the groups come from."""

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit of each compared row; the credit of a group sums to 0, rows that are not ok get 0."""
        ...


@runtime_checkable
class Compares(Protocol):
    """A credit rule that compares rows in groups."""

    def compare(self, forest: Forest) -> Compared:
        """Return the groups."""
        ...


@runtime_checkable
class PromisesSums(Protocol):
    """A credit rule that says what the credit of each group sums to."""

    def sums(self, forest: Forest) -> GroupSums:
        """Return the promise; the forest has the rule's `advantage`, on which a bound may depend."""
        ...


@runtime_checkable
class PromisesPaths(Protocol):
    """A credit rule whose credit adds up along a path."""

    def path_sums(self, forest: Forest) -> PathSums:
        """Return the promise."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A credit rule with numbers to report."""

    def metrics(self, forest: Forest, state: State) -> Mapping[str, float]:
        """Numbers named `credit/...`; `state` is what `apply` returned, None for a rule without memory."""
        ...


def _column(forest: Forest, name: str) -> Tensor:
    if name not in forest:
        raise ColumnError(
            f"Group credit needs column {name!r}, but the forest has: {', '.join(forest.names)}. "
            "Score it first, or name another reward."
        )
    return forest[name]


def failed(forest: Forest, name: str) -> Bool[Tensor, " n"]:
    """Rows at which a reward is missing although it is needed.

    A leaf needs its reward. An inner step without one earned nothing, unless `reason.<name>` says why it is missing.

    Args:
        forest: with `reward.<name>` and `ok.<name>`.
        name: name of the reward.

    Returns:
        One truth value per row.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    value, ok, reason = f"reward.{name}", f"ok.{name}", f"reason.{name}"
    _column(forest, value)
    fine = _column(forest, ok) & forest.valid(ok) & forest.valid(value)
    inner = segments.child_count(forest.parent) > 0
    named = forest.valid(reason) if reason in forest else torch.zeros_like(fine)
    return ~fine & (~inner | named)


def unfailed(forest: Forest, names: Sequence[str]) -> Bool[Tensor, " n"]:
    """Rows at and above which none of the named rewards failed.

    Args:
        forest: with `reward.<name>` and `ok.<name>` for each name.
        names: names of the rewards.

    Returns:
        One truth value per row. A trajectory counts when it is true of its leaf.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    bad = torch.stack([failed(forest, name) for name in names]).any(0)
    inner = segments.child_count(forest.parent) > 0
    return segments.path_sum(bad.long(), forest.parent) == 0 if bool((bad & inner).any()) else ~bad


def earned(forest: Forest, name: str) -> Float[Tensor, " n"]:
    """Reward of each row, 0 where the row has none.

    Args:
        forest: with `reward.<name>` and `ok.<name>`.
        name: name of the reward.

    Returns:
        float64, in reward units.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    value, ok = _column(forest, f"reward.{name}"), _column(forest, f"ok.{name}")
    has = ok & forest.valid(f"ok.{name}") & forest.valid(f"reward.{name}")
    return torch.where(has, value.double(), 0)


def worth(forest: Forest, name: str = "total", needs: Sequence[str] = ()) -> Worth:
    """What each step is worth: its reward and the mean over its children of what they are worth.

        worth_i = reward_i + discount_i * mean of worth_j over the ok children j of i

    Args:
        forest: with `reward.<name>` and `ok.<name>`; `discount` is 1 where the column is missing.
        name: name of the reward.
        needs: further rewards without which a trajectory does not count.

    Returns:
        The worth of each row. Rounded to float32, so that worths that are equal but for the order of a sum are equal.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    reward, ok, parent = earned(forest, name), unfailed(forest, (name, *needs)), forest.parent
    if bool((parent[parent.clamp(min=0)] < 0).all()):  # no row below a child of a root: nothing to back up
        return Worth(value=torch.where(ok, reward, 0), ok=ok)
    discount = forest["discount"].double() if "discount" in forest else torch.ones_like(reward)
    found = backup.backup(reward, discount, torch.zeros_like(reward), parent, ok, reduce=segments.group_mean)
    return Worth(value=found.step.float().double(), ok=found.ok)


def siblings(forest: Forest, name: str = "total", needs: Sequence[str] = ()) -> Compared:
    """Compare each step with its siblings by what it is worth; on answers of one turn these are GRPO's groups.

    Args:
        forest: with `reward.<name>` and `ok.<name>`.
        name: name of the reward to compare by.
        needs: further rewards without which a trajectory does not count.

    Returns:
        One entry per row that is not a root; the group is the row of the parent.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    found = worth(forest, name, needs)
    row = (forest.parent >= 0).nonzero().squeeze(1)
    return Compared(row=row, value=found.value[row], group=forest.parent[row], groups=len(forest), ok=found.ok[row])


def lone(compared: Compared) -> Bool[Tensor, " n"]:
    """Compared rows that count but have nobody to be compared with.

    Args:
        compared: the groups.

    Returns:
        One truth value per compared row.
    """
    count = segments.group_count(compared.group, compared.groups, compared.ok)
    return compared.ok & (count[compared.group] < 2)


def write(forest: Forest, compared: Compared, credit: Float[Tensor, " n"]) -> Forest:
    """Write the credit of compared siblings as `advantage`, and give it on to the steps below that have no siblings.

        advantage_i = credit_i if i has ok siblings else advantage_{parent_i};  0 at a root

    Rows that do not count get 0 and are marked as missing; so are roots.

    Args:
        forest: any forest.
        compared: from `siblings`.
        credit: one number per compared row.

    Returns:
        The forest with `advantage`.
    """
    alone, size = lone(compared), len(forest)
    value = torch.zeros(size, dtype=credit.dtype).index_copy(0, compared.row, credit)
    ok = torch.zeros(size, dtype=torch.bool).index_copy(0, compared.row, compared.ok)
    if bool(alone.any()):
        has = torch.zeros(size, dtype=torch.bool).index_copy(0, compared.row, ~alone)
        value = backup.inherit(value, has, forest.parent)
    return forest.with_columns({"advantage": value}).with_valid("advantage", ok)
