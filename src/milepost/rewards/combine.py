"""Weighted sum of rewards that keeps its parts: each stays in its own columns, and the sum says which part failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, segments
from milepost.columns import End, Origin
from milepost.errors import SettingError, ShapeError
from milepost.forest import Forest
from milepost.part import Reward
from milepost.rewards import failure, guard

TOTAL = "total"
"""Name of the sum."""


def weighted_sum(
    values: Float[Tensor, "k n"], weights: Float[Tensor, " k"], ok: Bool[Tensor, "k n"], asked: Bool[Tensor, "k n"]
) -> Float[Tensor, " n"]:
    """Sum of the rewards that apply to a row.

        total_i = sum_j [asked_ij] w_j r_ij;   NaN if a needed part is not ok, or if none is needed
        part j is needed for row i  <=>  asked_ij and w_j != 0

    Args:
        values: one reward per row of the tensor, NaN allowed where not ok.
        weights: one weight per reward.
        ok: which values count.
        asked: which rows each reward was asked about; a reward of leaves has nothing to say on inner steps.

    Returns:
        One number per step; NaN where there is no total.

    Raises:
        ShapeError: shapes do not agree.

    Limits: one reward of weight 1 gives that reward.
    """
    if not values.shape == ok.shape == asked.shape or len(weights) != len(values):
        shapes = ", ".join(str(tuple(item.shape)) for item in (values, weights, ok, asked))
        raise ShapeError(f"weighted_sum got values, weights, ok, asked of shapes {shapes}, expected (k, n) and (k,).")
    needed = asked & (weights != 0)[:, None]
    counted = asked & ok
    total = (weights[:, None] * values.where(counted, 0)).sum(0)
    return total.where((ok | ~needed).all(0) & needed.any(0), math.nan)


def total(forest: Forest, names: Sequence[str], weights: Sequence[float]) -> Forest:
    """Write the weighted sum of scored rewards.

    Args:
        forest: holds `reward.<name>`, `ok.<name>` and `reason.<name>` for every name.
        names: rewards to add up.
        weights: one finite weight per reward; a reward of weight 0 is only watched, and its failures do no harm.

    Returns:
        The forest with `reward.total`, `ok.total` and `reason.total`. A row is not ok if a needed part is not ok, with
        the code of the first such part and its name; a row that no reward of a weight other than 0 was asked about is
        not ok, without a reason.

    Raises:
        SettingError: no reward, not one weight each, or a weight that is not finite.
        ColumnError: a reward was not scored.

    Example:
        >>> from milepost.rewards import guard
        >>> from milepost.rewards.text import Format, Length
        >>> forest = Forest.of([-1, 0], {"text": ["?", "<answer>7</answer>"]})
        >>> for reward in (Format(), Length(scale=36, unit="characters")):
        ...     forest = guard.score(reward, forest)
        >>> total(forest, ["format", "length"], [1.0, -0.5])["reward.total"].tolist()
        [nan, 0.75]
    """
    checks.not_empty("names", names)
    if len(names) != len(weights) or not all(math.isfinite(weight) for weight in weights):
        raise SettingError(
            f"{len(names)} rewards were given with weights {list(weights)}: give one finite weight each."
        )
    told = [forest.text(f"reason.{name}") for name in names]
    ok = torch.stack([forest[f"ok.{name}"] for name in names])
    failed = torch.tensor([[text is not None for text in column] for column in told], dtype=torch.bool)
    values = torch.stack([forest[f"reward.{name}"] for name in names])
    summed = weighted_sum(values, torch.tensor(weights, dtype=values.dtype), ok, ok | failed.view_as(ok))
    fine = ~summed.isnan()
    reasons: list[str | None] = [None] * len(forest)
    for row in cast("list[int]", (~fine).nonzero().flatten().tolist()):
        reasons[row] = _first(names, weights, [column[row] for column in told])
    columns = {f"reward.{TOTAL}": summed, f"ok.{TOTAL}": fine, f"reason.{TOTAL}": cast("Sequence[object]", reasons)}
    return forest.with_columns(columns).with_valid(f"reward.{TOTAL}", fine)


def _first(names: Sequence[str], weights: Sequence[float], told: Sequence[str | None]) -> str | None:
    for name, weight, text in zip(names, weights, told, strict=True):
        if weight != 0 and text is not None:
            code, _, detail = text.partition(":")
            return failure.reason(code, f"{name}: {detail.strip()}" if detail else name)
    return None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores rows of a forest that may still grow: every reward where it applies, and their weighted sum.

    Rewards of steps are asked about steps that a policy took, rewards of leaves about trajectories that have ended and
    were not pruned. A row that has its verdict, be it a failure, is not asked about again: what a sampler had scored on
    the way is not paid for twice.

    Example:
        >>> from milepost.rewards.text import Format
        >>> ends = [int(End.OPEN), int(End.TERMINATED), int(End.PRUNED)]
        >>> forest = Forest.of([-1, 0, 0], {"text": ["?", "<answer>7</answer>", "well, "], "end": ends})
        >>> Scored(rewards=(Format(),), weights=(1.0,))(forest, torch.tensor([1, 2]))["reward.total"].tolist()
        [nan, 1.0, nan]
    """

    rewards: tuple[Reward, ...]
    weights: tuple[float, ...]
    """One per reward."""

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """The forest with the columns of every reward, and the total."""
        for reward in self.rewards:
            forest = guard.score(reward, forest, _unjudged(reward, forest, rows))
        return total(forest, [reward.name for reward in self.rewards], self.weights)


def _unjudged(reward: Reward, forest: Forest, rows: Tensor) -> Tensor:
    """Those of `rows` to which a reward applies and about which it has not said anything yet."""
    wanted = forest.parent[rows] >= 0
    if "origin" in forest:
        wanted &= forest["origin"][rows] != int(Origin.INSERTED)
    if reward.when == "leaf":
        wanted &= segments.child_count(forest.parent)[rows] == 0
        if "end" in forest:
            wanted &= (forest["end"][rows] != int(End.OPEN)) & (forest["end"][rows] != int(End.PRUNED))
    if f"ok.{reward.name}" in forest:
        judged = forest[f"ok.{reward.name}"] | forest.valid(f"reason.{reward.name}")
        wanted &= ~judged[rows]
    return rows[wanted]
