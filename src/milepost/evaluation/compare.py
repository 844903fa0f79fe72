"""Which of two methods is better: paired differences over seeds at equal cost, with intervals, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.errors import ShapeError
from milepost.evaluation.intervals import Interval, mean_interval, paired_bootstrap, sign_test, welch_interval

Verdict: TypeAlias = Literal["first", "second", "undecided", "unequal cost"]

TOLERANCE = 0.05
"""Largest relative difference of two mean costs that still counts as equal."""
PAIR_TOLERANCE = 0.15
"""The same for the two runs of one pair: they end at whole steps, and a step may be a tenth of a small budget."""
CHANCE = 0.05
"""Chance of a wrong verdict that is accepted where there is no difference."""
SUCCESS = "success"
"""The metric that the verdict is about."""
SHARES = ("success", "distinct", "pass@")
"""How the names of metrics begin that lie in [0, 1], so that no difference leaves [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run came to."""

    seed: int
    metrics: Mapping[str, float]
    """Numbers at the end, such as "success" and "pass@4"; those that both methods have are compared."""
    cost: Mapping[str, float]
    """Spent in all, by unit, scoring passes included."""
    by_task: Sequence[float] = ()
    """Success per held-out task, in the same order in every run; NaN where nothing counts. For a single pair."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric of two methods."""

    metric: str
    first: float
    """Mean of the first method."""
    second: float
    difference: Interval
    """First less second: Student's t over pairs, or Welch's over unpaired runs; of shares, cut to [-1, 1]."""
    sign: float
    """Exact two-sided sign test over the pairs; NaN where runs are not paired."""
    pairs: tuple[float, ...]
    """Difference of each pair; empty where runs are not paired."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Mean cost of two methods in one unit."""

    unit: str
    first: float
    second: float

    @property
    def ratio(self) -> float:
        """First over second; NaN when the second spent nothing."""
        return self.first / self.second if self.second else math.nan

    @property
    def gap(self) -> float:
        """Relative difference: |first - second| over the larger; 0 when both spent nothing."""
        return abs(self.first - self.second) / max(self.first, self.second) if max(self.first, self.second) else 0.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two methods side by side."""

    names: tuple[str, str]
    paired: bool
    runs: tuple[int, int]
    """Runs of each method."""
    differences: tuple[Difference, ...]
    """Success first."""
    costs: tuple[Spent, ...]
    unit: str
    """Unit in which the costs must be equal."""
    verdict: Verdict
    over_tasks: Interval | None
    """With one pair: the difference over held-out tasks, for these two runs only."""

    @property
    def success(self) -> Difference:
        """The metric that the verdict is about."""
        return self.differences[0]

    @property
    def checked_cost(self) -> Spent:
        """Cost in the unit that must be equal."""
        return next(one for one in self.costs if one.unit == self.unit)


def pass_at(
    solved: Bool[Tensor, " n"], task: Int[Tensor, " n"], ok: Bool[Tensor, " n"], *, draws: int
) -> Float[Tensor, ""]:
    """Chance that at least one of k answers to a task is right, unbiased, mean over tasks.

        pass@k = mean over tasks of 1 - C(n - c, k) / C(n, k),   n answers that count, c of them right

    Args:
        solved: whether each answer is right.
        task: number of its task, from 0 without gaps.
        ok: answers that count.
        draws: k, at least 1.

    Returns:
        A scalar in [0, 1] over the tasks with at least k answers that count; NaN where there is none.

    Raises:
        SettingError: `draws` below 1.

    Source: Chen et al. 2021, eq. 1.   Limits: k = 1 is the mean success; k = n asks for any right answer.
    """
    checks.at_least("draws", draws, 1)
    tasks = int(task.max()) + 1 if len(task) else 0
    count = segments.group_count(task, tasks, ok).double()
    right = segments.group_count(task, tasks, ok & solved).double()
    enough = count >= draws
    missed = torch.ones(tasks, dtype=torch.float64)
    for drawn in range(draws):
        missed = missed * ((count - right - drawn).clamp(min=0) / (count - drawn).clamp(min=1))
    found = (1 - missed)[enough]
    return found.mean() if len(found) else torch.tensor(math.nan, dtype=torch.float64)


def distinct_share(answers: Sequence[str], task: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Share of the answers to a task that differ from all earlier ones, mean over tasks.

        mean over tasks of (number of different answers) / (number of answers)

    Args:
        answers: one text per answer.
        task: number of its task.

    Returns:
        A scalar in (0, 1]; NaN without answers.

    Source: distinct-n (Li et al. 2016) with whole answers for n-grams.   Limits: equal answers give 1 / n.
    """
    groups: dict[int, list[str]] = {}
    for text, number in zip(answers, task.tolist(), strict=True):
        groups.setdefault(number, []).append(text)
    shares = [len(set(texts)) / len(texts) for texts in groups.values()]
    return torch.tensor(shares, dtype=torch.float64).mean()


def surprisal(log_prob: Float[Tensor, " t"], chosen: Bool[Tensor, " t"]) -> Float[Tensor, ""]:
    """Mean surprise of the tokens that a policy chose: an unbiased estimate of its entropy per token.

        - mean of log_prob over the chosen tokens

    Args:
        log_prob: log-probability of each token under the policy that sampled it, in nats; elsewhere it may be NaN.
        chosen: tokens that the policy chose.

    Returns:
        A scalar in nats per token, at least 0; NaN without chosen tokens.

    Source: definition of entropy as expected surprise.   Limits: 0 for a policy without choice.
    """
    return -log_prob[chosen].double().mean()


def compare(
    first: Sequence[Result], second: Sequence[Result], names: tuple[str, str], *, unit: str, key: int
) -> Comparison:
    """Compare two methods by their runs.

    Runs are paired when the seeds are the same: the difference of each pair is one number, and its mean has Student's
    interval. A method is better when that interval of the success excludes 0 and the costs are equal; where all pairs
    differ by the same amount, the interval has no width and the exact sign test decides. One pair decides nothing.

    Args:
        first: runs of the first method, at least one.
        second: runs of the second method, at least one.
        names: what the two are called.
        unit: unit in which the costs must be equal: the means within `TOLERANCE`, pairs within `PAIR_TOLERANCE`.
        key: decides the bootstrap over tasks, which is reported with one pair only.

    Returns:
        The comparison.

    Raises:
        ShapeError: a method has no run, or the runs have no metric "success".
    """
    if not first or not second or any(SUCCESS not in one.metrics for one in (*first, *second)):
        raise ShapeError(
            f"compare got {len(first)} and {len(second)} runs, expected at least one each, with metric 'success'."
        )
    paired = sorted(one.seed for one in first) == sorted(one.seed for one in second)
    ordered = (sorted(first, key=_seed), sorted(second, key=_seed))
    shared = [name for name in first[0].metrics if all(_known(one, name) for one in (*first, *second))]
    metrics = [SUCCESS, *(name for name in shared if name != SUCCESS)]
    differences = tuple(_difference(name, *ordered, paired=paired) for name in metrics)
    units = sorted({unit, *(u for one in (*first, *second) for u in one.cost)})
    costs = tuple(Spent(unit=u, first=_mean_cost(first, u), second=_mean_cost(second, u)) for u in units)
    over_tasks = _over_tasks(first[0], second[0], key) if paired and len(first) == 1 else None
    return Comparison(
        names=names,
        paired=paired,
        runs=(len(first), len(second)),
        differences=differences,
        costs=costs,
        unit=unit,
        verdict=_verdict(differences[0], equal=_equal(ordered, unit, paired=paired)),
        over_tasks=over_tasks,
    )


def _seed(one: Result) -> int:
    return one.seed


def _known(one: Result, name: str) -> bool:
    return math.isfinite(one.metrics.get(name, math.nan))


def _mean_cost(runs: Sequence[Result], unit: str) -> float:
    return math.fsum(one.cost.get(unit, 0.0) for one in runs) / len(runs)


def _equal(runs: tuple[Sequence[Result], Sequence[Result]], unit: str, *, paired: bool) -> bool:
    """Whether the costs agree: in the mean, and where runs are paired also in every pair."""
    whole = Spent(unit=unit, first=_mean_cost(runs[0], unit), second=_mean_cost(runs[1], unit)).gap
    pairs = zip(*runs, strict=True) if paired else ()
    apart = [Spent(unit=unit, first=a.cost.get(unit, 0.0), second=b.cost.get(unit, 0.0)).gap for a, b in pairs]
    return whole <= TOLERANCE and max(apart, default=0.0) <= PAIR_TOLERANCE


def _difference(name: str, first: Sequence[Result], second: Sequence[Result], *, paired: bool) -> Difference:
    ours, theirs = [one.metrics[name] for one in first], [one.metrics[name] for one in second]
    gains = [a - b for a, b in zip(ours, theirs, strict=True)] if paired else []
    found = mean_interval(gains) if paired else welch_interval(ours, theirs)
    if name.startswith(SHARES):
        found = replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))  # NaN stays: it comes first
    return Difference(
        metric=name,
        first=math.fsum(ours) / len(ours),
        second=math.fsum(theirs) / len(theirs),
        difference=found,
        sign=sign_test(gains) if paired else math.nan,
        pairs=tuple(gains),
    )


def _verdict(success: Difference, *, equal: bool) -> Verdict:
    if not equal:
        return "unequal cost"
    found = success.difference
    without_width = found.low == found.high
    if not found.excludes_zero or (without_width and not success.sign < CHANCE):
        return "undecided"
    return "first" if found.estimate > 0 else "second"


def _over_tasks(first: Result, second: Result, key: int) -> Interval | None:
    if len(first.by_task) != len(second.by_task) or len(first.by_task) < 2:
        return None
    one, two = torch.tensor(first.by_task, dtype=torch.float64), torch.tensor(second.by_task, dtype=torch.float64)
    both = one.isfinite() & two.isfinite()
    return paired_bootstrap(one[both], two[both], key)


def sentence(found: Comparison) -> str:
    """Say in one sentence which method is better, or that it cannot be told.

    Args:
        found: a comparison.

    Returns:
        The sentence, with the difference in percentage points and its 95 % interval.
    """
    first, second = found.names
    ratio = f"{first} spent {found.checked_cost.ratio:.2f} times the {found.unit.replace('_', ' ')} of {second}"
    runs = f"{found.runs[0]} paired seeds" if found.paired else f"{found.runs[0]} and {found.runs[1]} unpaired runs"
    facts = _facts(found.success, turned=found.verdict == "second")
    if found.verdict == "unequal cost":
        return f"No verdict between {first} and {second}, because their cost is not equal: {ratio} ({facts}; {runs})."
    if found.verdict == "undecided":
        if max(found.runs) == 1:
            return f"Cannot tell {first} from {second} by one run of each: {facts}{_tasks(found.over_tasks)} ({ratio})."
        return f"Cannot tell {first} from {second}: {facts} ({runs}; equal cost: {ratio})."
    better, other = (first, second) if found.verdict == "first" else (second, first)
    return f"{better} is better than {other}: {facts} ({runs}; equal cost: {ratio})."


def _facts(success: Difference, *, turned: bool) -> str:
    """Both means and their difference; the better method comes first."""
    found = success.difference
    means, bounds, sign = (success.first, success.second), (found.low, found.high), 1
    if turned:
        means, bounds, sign = means[::-1], (-found.high, -found.low), -1
    text = (
        f"held-out success {means[0]:.1%} against {means[1]:.1%}, difference {100 * sign * found.estimate:+.1f} points"
    )
    if math.isnan(found.low):
        return text
    return f"{text} (95 % interval {100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f})"


def _tasks(found: Interval | None) -> str:
    if found is None:
        return ""
    return f", for these two runs {100 * found.low:+.1f} to {100 * found.high:+.1f} over tasks, seeds unknown"
