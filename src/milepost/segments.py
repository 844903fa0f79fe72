"""Sums, means, spreads and ranks over groups, and passes over trees. Every reduction takes `ok`: rows that are not ok
may hold NaN.

A group is a set of rows with the same integer id in [0, groups). Groups are never assumed contiguous or of equal size.
A tree is a `parent` vector (own row number of the step before, -1 for a root, always smaller than the own row number).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from milepost.errors import ShapeError

Reduce = Callable[[Tensor, Tensor, int, Tensor], Tensor]
"""(value, group, groups, ok) -> one value per group; must return the value itself for a group with one ok row."""


def check_groups(value: Tensor, group: Tensor, groups: int, ok: Tensor | None = None) -> None:
    """Check that values, group ids and `ok` fit together.

    Args:
        value: one number per row.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Raises:
        ShapeError: lengths differ, ids are not int64 or lie outside [0, groups).
    """
    for name, other in (("group", group), ("ok", ok)):
        if other is not None and other.shape != value.shape[:1]:
            raise ShapeError(
                f"{name} has shape {tuple(other.shape)}, expected one entry for each of {value.shape[0]} rows."
            )
    if group.dtype != torch.int64:
        raise ShapeError(f"group ids have type {group.dtype}, expected torch.int64: call .long() on them.")
    if len(group) and (int(group.min()) < 0 or int(group.max()) >= groups):
        raise ShapeError(f"group ids span [{int(group.min())}, {int(group.max())}], expected [0, {groups}).")


def group_count(group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]) -> Int[Tensor, " g"]:
    """Number of ok rows of each group.

        count_g = sum_i [group_i = g] [ok_i]

    Args:
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One whole number per group.
    """
    return torch.zeros(groups, dtype=torch.int64, device=group.device).scatter_add_(0, group, ok.long())


def group_sum(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " g"]:
    """Sum of the ok rows of each group.

        sum_g = sum_i [group_i = g] [ok_i] value_i

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per group, 0 for a group without ok rows.
    """
    return value.new_zeros(groups).scatter_add_(0, group, value.where(ok, 0))


def group_max(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " g"]:
    """Largest ok row of each group.

        max_g = max of value_i over i with group_i = g and ok_i

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per group, -inf for a group without ok rows.
    """
    return value.new_full((groups,), -torch.inf).scatter_reduce_(0, group, value.where(ok, -torch.inf), "amax")


def group_min(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " g"]:
    """Smallest ok row of each group.

        min_g = min of value_i over i with group_i = g and ok_i

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per group, +inf for a group without ok rows.
    """
    return value.new_full((groups,), torch.inf).scatter_reduce_(0, group, value.where(ok, torch.inf), "amin")


def _above_minimum(value: Tensor, group: Tensor, groups: int, ok: Tensor) -> tuple[Tensor, Tensor]:
    low = group_min(value, group, groups, ok)
    return torch.where(ok, value - low.index_select(0, group), 0), low


def group_mean(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " g"]:
    """Mean of the ok rows of each group; the mean of a constant group is that constant, to the bit.

        mean_g = low_g + sum_i [group_i = g] [ok_i] (value_i - low_g) / count_g,   low_g = min of the group

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per group, 0 for a group without ok rows.
    """
    gain, low = _above_minimum(value, group, groups, ok)
    count = group_count(group, groups, ok)
    total = value.new_zeros(groups).scatter_add_(0, group, gain)
    return torch.where(count > 0, low + total / count.clamp(min=1), 0)


def group_centre(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Each ok row less the mean of its group; exactly 0 in a constant group, for a lone row and where not ok.

        centre_i = value_i - mean_{group_i}

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per row.
    """
    gain, _ = _above_minimum(value, group, groups, ok)
    count = group_count(group, groups, ok).clamp(min=1)
    mean = value.new_zeros(groups).scatter_add_(0, group, gain) / count
    return torch.where(ok, gain - mean.index_select(0, group), 0)


def group_std(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, ddof: int
) -> Float[Tensor, " g"]:
    """Standard deviation of the ok rows of each group.

        std_g = sqrt( sum_i [group_i = g] [ok_i] (value_i - mean_g)^2 / (count_g - ddof) )

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.
        ddof: 0 for the population's, 1 for the sample's.

    Returns:
        One number per group; exactly 0 for constant groups and for groups with at most `ddof` ok rows.
    """
    square = group_centre(value, group, groups, ok).square()
    count = group_count(group, groups, ok) - ddof
    total = value.new_zeros(groups).scatter_add_(0, group, square)
    return torch.where(count > 0, (total / count.clamp(min=1)).sqrt(), 0)


def group_log_sum_exp(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " g"]:
    """Logarithm of the sum of exponentials of the ok rows of each group.

        lse_g = max_g + log sum_i [group_i = g] [ok_i] exp(value_i - max_g)

    Args:
        value: one number per row, -inf allowed; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number per group, -inf for a group without ok rows.
    """
    high = group_max(value, group, groups, ok)
    anchor = high.where(high.isfinite(), 0)
    scaled = torch.where(ok, (value - anchor.index_select(0, group)).exp(), 0)
    total = value.new_zeros(groups).scatter_add_(0, group, scaled)
    return torch.where(high.isfinite(), anchor + total.log(), high)


def group_soft_mean(
    value: Float[Tensor, " n"],
    group: Int[Tensor, " n"],
    groups: int,
    ok: Bool[Tensor, " n"],
    *,
    temperature: float,
) -> Float[Tensor, " g"]:
    """Soft value of each group: the logarithm of a mean of exponentials.

        soft_g = T log( sum_i [group_i = g] [ok_i] exp(value_i / T) / count_g )

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.
        temperature: T > 0, in units of the value.

    Returns:
        One number per group, 0 for a group without ok rows.

    Limits: T -> 0 is the maximum, T -> infinity the mean.
    """
    count = group_count(group, groups, ok)
    total = group_log_sum_exp(value / temperature, group, groups, ok)
    soft = temperature * (total - count.clamp(min=1).to(value.dtype).log())
    return torch.where(count > 0, soft, 0)


def group_softmax(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Share of each ok row in the exponentials of its group.

        softmax_i = exp(value_i - lse_{group_i})

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number in [0, 1] per row, 0 where not ok and in a group of nothing but -inf; other groups sum to 1.
    """
    total = group_log_sum_exp(value, group, groups, ok)
    return torch.where(ok & (value > -torch.inf), (value - total.index_select(0, group)).exp(), 0)


def group_rank(
    value: Float[Tensor, " n"],
    group: Int[Tensor, " n"],
    groups: int,  # noqa: ARG001  (all reductions share one signature)
    ok: Bool[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """Rank of each ok row in its group, smallest first; ties share the mean of their ranks.

        rank_i = #{j ok in the group: value_j < value_i} + (#{j ok in the group: value_j = value_i} - 1) / 2

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        groups: number of groups.
        ok: which rows count.

    Returns:
        One number in [0, count - 1] per ok row, 0 where not ok.
    """
    rank = value.new_zeros(len(value))
    rows = ok.nonzero().squeeze(1)
    if len(rows) == 0:
        return rank
    rows = rows[value[rows].argsort(stable=True)]
    rows = rows[group[rows].argsort(stable=True)]
    place = torch.arange(len(rows), device=value.device)
    begins = torch.ones(len(rows), dtype=torch.bool, device=value.device)
    begins[1:] = group[rows[1:]] != group[rows[:-1]]
    run = begins.clone()
    run[1:] |= value[rows[1:]] != value[rows[:-1]]
    start = place.where(begins, 0).cummax(0).values
    tie = run.long().cumsum(0) - 1
    every = torch.ones_like(tie, dtype=torch.bool)
    mean = group_mean((place - start).to(value.dtype), tie, int(tie[-1]) + 1, every)
    return rank.index_copy_(0, rows, mean[tie])


@dataclass(frozen=True)
class Backup:
    """Values backed up a tree: `state` of the state arrived at, `step` of the step into it, and which of them count."""

    state: Float[Tensor, " n"]
    step: Float[Tensor, " n"]
    ok: Bool[Tensor, " n"]


def child_count(parent: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Number of children of each row.

        children_i = #{j: parent_j = i}

    Args:
        parent: row of the step before, -1 for a root.

    Returns:
        One whole number per row.
    """
    return torch.bincount(parent + 1, minlength=len(parent) + 1)[1:]


def _fixpoint(link: Tensor) -> Tensor:
    while True:
        further = link.index_select(0, link)
        if torch.equal(further, link):
            return link
        link = further


def root_of(parent: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Root above each row.

        root_i = i if parent_i = -1 else root_{parent_i}

    Args:
        parent: row of the step before, -1 for a root.

    Returns:
        One row number per row. Pointer doubling: O(n log depth).
    """
    own = torch.arange(len(parent), device=parent.device)
    return _fixpoint(torch.where(parent >= 0, parent, own))


def nearest(parent: Int[Tensor, " n"], has: Bool[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Nearest row at or above each row for which `has` is true, -1 where there is none.

        nearest_i = i if has_i else nearest_{parent_i}

    Args:
        parent: row of the step before, -1 for a root.
        has: the rows looked for.

    Returns:
        One row number or -1 per row.
    """
    own = torch.arange(len(parent), device=parent.device)
    link = _fixpoint(torch.where(has | (parent < 0), own, parent))
    return torch.where(has[link], link, -1) if len(parent) else link


def path_sum(value: Num[Tensor, " n"], parent: Int[Tensor, " n"]) -> Num[Tensor, " n"]:
    """Sum of the values from the root down to each row, both included.

        path_sum_i = value_i + path_sum_{parent_i}

    Args:
        value: one number per row.
        parent: row of the step before, -1 for a root.

    Returns:
        One number per row. Pointer doubling: O(n log depth).
    """
    size = len(parent)
    total = torch.cat((value, value.new_zeros(1)))  # an entry above all roots, worth nothing, ends every path
    link = torch.cat((torch.where(parent >= 0, parent, size), parent.new_full((1,), size)))
    while bool((link < size).any()):
        total, link = total + total.index_select(0, link), link.index_select(0, link)
    return total[:size]


def depth(parent: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Number of steps between each row and its root.

        depth_i = 0 if parent_i = -1 else depth_{parent_i} + 1

    Args:
        parent: row of the step before, -1 for a root.

    Returns:
        One whole number per row.
    """
    return path_sum((parent >= 0).long(), parent)
