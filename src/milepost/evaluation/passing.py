"""pass@k and distinct solutions in k answers, without bias, from any number of answers per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.errors import ColumnError, ShapeError
from milepost.evaluation.intervals import Interval, mean_interval
from milepost.forest import Forest


def chance_of_one(hits: Int[Tensor, " n"], count: Int[Tensor, " n"], *, k: int) -> Float[Tensor, " n"]:
    """Chance that k of the answers, drawn without replacement, hold at least one hit.

        1 - C(n - c, k) / C(n, k) = 1 - prod over j < k of (n - c - j) / (n - j)

    Args:
        hits: c, in [0, n].
        count: n, number of answers.
        k: answers drawn, at least 1.

    Returns:
        float64 in [0, 1]; NaN where there are fewer than k answers.

    Raises:
        ShapeError: lengths differ, or hits outside [0, count].
        SettingError: `k` is not a whole number of at least 1.

    Source: Chen et al. 2021, arXiv:2107.03374, eq. 1.   Limits: k = 1 is the share of hits; k = n is 1 for any hit.
    """
    checks.at_least("k", k, 1)
    if hits.shape != count.shape or bool(((hits < 0) | (hits > count)).any()):
        raise ShapeError(
            f"chance_of_one got {len(hits)} numbers of hits and {len(count)} counts, expected one of each, with "
            "0 <= hits <= count."
        )
    none = torch.ones(len(count), dtype=torch.float64)
    for j in range(k):
        none = none * (count - hits - j).double() / (count - j).clamp(min=1).double()
    return torch.where(count >= k, 1 - none, torch.nan)


def pass_at_k(
    solved: Bool[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, k: int
) -> Float[Tensor, " g"]:
    """Unbiased estimate, for every task, of the chance that at least one of k answers is right.

        pass@k_g = 1 - C(n_g - c_g, k) / C(n_g, k),   c_g right ones of the n_g answers that count

    Args:
        solved: whether each answer is right; of no matter where not ok.
        group: task of each answer, in [0, groups).
        groups: number of tasks.
        ok: which answers count.
        k: answers drawn, at least 1.

    Returns:
        float64 in [0, 1]; NaN for tasks with fewer than k answers that count.

    Raises:
        ShapeError: lengths differ, or ids outside [0, groups).
        SettingError: `k` is not a whole number of at least 1.

    Source: Chen et al. 2021, arXiv:2107.03374, eq. 1.
    """
    segments.check_groups(solved, group, groups, ok)
    count, right = segments.group_count(group, groups, ok), segments.group_count(group, groups, ok & solved)
    return chance_of_one(right, count, k=k)


def pass_hat_k(
    solved: Bool[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, k: int
) -> Float[Tensor, " g"]:
    """Unbiased estimate, for every task, of the chance that all of k independent runs succeed.

        pass^k_g = C(c_g, k) / C(n_g, k),   c_g successes of the n_g runs that count

    Args:
        solved: whether each run succeeded; of no matter where not ok.
        group: task of each run, in [0, groups).
        groups: number of tasks.
        ok: which runs count.
        k: runs drawn, at least 1.

    Returns:
        float64 in [0, 1]; NaN for tasks with fewer than k runs that count.

    Raises:
        ShapeError: lengths differ, or ids outside [0, groups).
        SettingError: `k` is not a whole number of at least 1.

    Source: tau-bench, arXiv:2406.12045, section 3.   Limits: k = 1 is the share of successes; it never rises with k.
    """
    segments.check_groups(solved, group, groups, ok)
    count, failed = segments.group_count(group, groups, ok), segments.group_count(group, groups, ok & ~solved)
    return 1 - chance_of_one(failed, count, k=k)


def distinct_at_k(
    solution: Int[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"], *, k: int
) -> Float[Tensor, " g"]:
    """Unbiased estimate, for every task, of the number of different right solutions among k answers.

        distinct@k_g = sum over solutions s of 1 - C(n_g - c_gs, k) / C(n_g, k),   c_gs answers that are solution s

    Args:
        solution: number of the solution that each answer is, negative for wrong answers; of no matter where not ok.
        group: task of each answer, in [0, groups).
        groups: number of tasks.
        ok: which answers count.
        k: answers drawn, at least 1.

    Returns:
        float64 in [0, k]; NaN for tasks with fewer than k answers that count.

    Raises:
        ShapeError: lengths differ, or ids outside [0, groups).
        SettingError: `k` is not a whole number of at least 1.

    Source: rarefaction, Hurlbert 1971.   Limits: with one solution per task it is pass@k; k = 1 is the share of hits.
    """
    segments.check_groups(solution, group, groups, ok)
    count, right = segments.group_count(group, groups, ok), ok & (solution >= 0)
    pairs, times = torch.stack((group[right], solution[right])).unique(dim=1, return_counts=True)
    found = torch.zeros(groups, dtype=torch.float64)
    found.index_add_(0, pairs[0], chance_of_one(times, count[pairs[0]], k=k).nan_to_num(0.0))
    return torch.where(count >= k, found, torch.nan)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """pass@k and distinct@k over tasks, with 95 % intervals over tasks."""

    k: int
    passed: Interval
    distinct: Interval
    """Different right solutions among k answers; the text after white space is removed tells solutions apart."""
    tasks: int
    """Tasks that count."""
    left_out: int
    """Tasks with fewer than k answers that could be scored."""


def passes(
    forest: Forest, ks: Sequence[int], *, reward: str = "solved", solutions: Sequence[str | None] = ()
) -> list[Passes]:
    """Measure pass@k of the answers of one turn or of whole trajectories, grouped by root.

    Args:
        forest: held-out trajectories with `reward.<reward>` (1 where solved) and `ok.<reward>` on the leaves.
        ks: numbers of answers drawn, each at least 1.
        reward: name of the reward that says whether an answer is right.
        solutions: the solution of each row, of which right leaves are told apart; by default the column `text`.

    Returns:
        One record per k.

    Raises:
        ColumnError: the forest lacks the reward.
        SettingError: a `k` that is not a whole number of at least 1.
    """
    if f"reward.{reward}" not in forest or f"ok.{reward}" not in forest:
        raise ColumnError(
            f"pass@k needs 'reward.{reward}' and 'ok.{reward}', but the forest has: {', '.join(forest.names)}. "
            "Score it first."
        )
    leaf = forest.leaves()
    leaf = leaf[forest.parent[leaf] >= 0]
    roots = forest.roots()
    place = torch.zeros(len(forest), dtype=torch.int64).index_copy(0, roots, torch.arange(len(roots)))
    group, ok = place[forest.root_of()[leaf]], forest[f"ok.{reward}"][leaf]
    solved = ok & (forest[f"reward.{reward}"][leaf] >= 1)
    told = list(solutions) or (forest.text("text") if "text" in forest else [""] * len(forest))
    names = ["".join((told[row] or "").split()) for row in cast("list[int]", leaf.tolist())]
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    solution = torch.tensor([number[name] for name in names], dtype=torch.int64).where(solved, -1)
    return [_measured(solved, solution, group, len(roots), ok, k) for k in ks]


def _measured(solved: Tensor, solution: Tensor, group: Tensor, groups: int, ok: Tensor, k: int) -> Passes:
    rate = pass_at_k(solved, group, groups, ok, k=k)
    distinct = distinct_at_k(solution, group, groups, ok, k=k)
    known = rate.isfinite()
    return Passes(
        k=k,
        passed=mean_interval(rate[known]),
        distinct=mean_interval(distinct[known]),
        tasks=int(known.sum()),
        left_out=int((~known).sum()),
    )
