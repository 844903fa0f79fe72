"""Which of several candidates to go on from, by their total reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, keys, segments
from milepost.columns import End
from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class Told:
    """State of a sampler that reads everything else off the forest: how many extensions it was told of."""

    extensions: int = 0


def prune(forest: Forest, rows: Int[Tensor, " k"]) -> Forest:
    """End the given rows as candidates that were not chosen.

    Args:
        forest: with `end`.
        rows: rows to end.

    Returns:
        The forest in which their `end` is PRUNED.
    """
    return forest.with_columns({"end": forest["end"].index_fill(0, rows, int(End.PRUNED))})


def top(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], ok: Bool[Tensor, " n"], *, count: int
) -> Bool[Tensor, " n"]:
    """Mark the largest values of each group.

    Args:
        value: one number per row; NaN allowed where not ok.
        group: id of the group of each row.
        ok: which rows count.
        count: how many to mark in each group, as far as there are.

    Returns:
        One truth value per row; of equal values the earlier rows come first, and rows that are not ok never.
    """
    rows = ok.nonzero().squeeze(1)
    rows = rows[(-value[rows]).argsort(stable=True)]
    rows = rows[group[rows].argsort(stable=True)]
    place = torch.arange(len(rows))
    begins = torch.ones(len(rows), dtype=torch.bool)
    begins[1:] = group[rows[1:]] != group[rows[:-1]]
    within = place - place.where(begins, 0).cummax(0).values if len(rows) else place
    return torch.zeros(len(value), dtype=torch.bool).index_fill(0, rows[within < count], True)


def advantage_softmax(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, temperature: float
) -> Float[Tensor, " n"]:
    """Chance of each candidate: a softmax over how many standard deviations it lies above the mean of its group.

        p_i = softmax over the group of (r_i - mean) / (std + 1e-6) / temperature

    Args:
        value: reward of each candidate; NaN allowed where not ok.
        group: id of the group of each candidate.
        groups: number of groups.
        ok: which candidates may be chosen.
        temperature: above 0.

    Returns:
        One number per candidate; groups sum to 1, equal rewards have equal chances, rows that are not ok have none.

    Source: SLATE, the choice of the step that is executed; population standard deviation.
    Limits: temperature -> 0 takes the best.
    """
    centre = segments.group_centre(value, group, groups, ok)
    spread = segments.group_std(value, group, groups, ok, ddof=0)[group] + 1e-6
    return segments.group_softmax(centre / spread / temperature, group, groups, ok)


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Candidates as groups below one parent each."""

    parent: Tensor
    group: Tensor
    value: Tensor
    ok: Tensor
    draw: Tensor
    """One uniform number per group, from the key of the parent."""


def _candidates(forest: Forest, rows: Tensor) -> _Candidates:
    parent, group = cast("tuple[Tensor, Tensor]", forest.parent[rows].unique(return_inverse=True))
    drawn = keys.uniform([keys.fold(key, "select") for key in forest["key"][parent].tolist()], 1)
    return _Candidates(
        parent=parent,
        group=group,
        value=forest["reward.total"][rows].double(),
        ok=forest["ok.total"][rows] & forest.valid("reward.total")[rows],
        draw=torch.from_numpy(drawn).reshape(-1),
    )


def _drawn(chance: Tensor, found: _Candidates, rows: Tensor) -> Tensor:
    """The candidate of each group at whose place the group's number falls, by inverting the cumulative chances."""
    order = found.group.argsort(stable=True)
    weight, group = chance[order], found.group[order]
    total = weight.cumsum(0)
    size = len(found.parent)
    ends = torch.zeros(size, dtype=total.dtype).scatter_reduce(0, group, total, "amax", include_self=True)
    begins = torch.cat((ends.new_zeros(1), ends[:-1].cummax(0).values)) if size else ends
    passed = (weight > 0) & (total - begins[group] >= found.draw[group] * (ends - begins)[group])
    first = top(-torch.arange(len(order)).double(), group, passed, count=1)
    return rows[order[first]]


@dataclass(frozen=True, kw_only=True)
class SoftmaxByAdvantage:
    """Chooses a candidate by chance, better ones more often; candidates whose reward failed are never chosen.

    Implements `part.Selector`.   Source: SLATE, with eta = `temperature`.

    Example:
        >>> SoftmaxByAdvantage(temperature=0.7).temperature
        0.7
    """

    reads = ("reward.total", "ok.total", "key")
    temperature: float = 0.7
    """In standard deviations of the group's rewards."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    def __call__(self, forest: Forest, rows: Tensor) -> Tensor:
        """One row for every parent that has a candidate whose reward is ok."""
        found = _candidates(forest, rows)
        groups = len(found.parent)
        chance = advantage_softmax(found.value, found.group, groups, found.ok, temperature=self.temperature)
        return _drawn(chance, found, rows)


@dataclass(frozen=True, kw_only=True)
class HighestReward:
    """Chooses a candidate of the highest reward, one of equals by chance.

    Implements `part.Selector`.

    Example:
        >>> HighestReward().reads
        ('reward.total', 'ok.total', 'key')
    """

    reads = ("reward.total", "ok.total", "key")

    def __call__(self, forest: Forest, rows: Tensor) -> Tensor:
        """One row for every parent that has a candidate whose reward is ok."""
        found = _candidates(forest, rows)
        best = segments.group_max(found.value, found.group, len(found.parent), found.ok)
        return _drawn((found.ok & (found.value == best[found.group])).double(), found, rows)
