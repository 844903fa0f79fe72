"""One record of how the tasks of a pool have gone: trials, scores and their spread, by task and by family.

Every part that chooses tasks reads this record. It keeps means and sums of squared deviations instead of sums and sums
of squares, so that a task whose scores are all equal has a deviation of exactly 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import segments
from milepost.errors import ColumnError, SettingError, unknown_name
from milepost.forest import Forest
from milepost.part import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredGroups:
    """The trajectories of a forest with one score each, grouped by (task, draw)."""

    tasks: tuple[str, ...]
    """Task id of each group."""
    rows: Int[Tensor, " n"]
    """Leaf that ends each trajectory."""
    group: Int[Tensor, " n"]
    """Group of each trajectory, in [0, number of groups)."""
    score: Float[Tensor, " n"]
    """float64; NaN allowed where not ok."""
    ok: Bool[Tensor, " n"]
    """Which trajectories have a score."""

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.tasks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Count, mean and sum of squared deviations of some scores, one entry per set of scores."""

    count: Int[Tensor, " n"]
    mean: Float[Tensor, " n"]
    """float64, 0 where the count is 0."""
    deviation: Float[Tensor, " n"]
    """float64: sum of (score - mean)^2; exactly 0 for equal scores."""

    @property
    def variance(self) -> Float[Tensor, " n"]:
        """Population variance, 0 where the count is 0."""
        return self.deviation / self.count.clamp(min=1)

    @staticmethod
    def zeros(size: int) -> Moments:
        """Moments of no scores at all."""
        blank = torch.zeros(size, dtype=torch.float64)
        return Moments(count=torch.zeros(size, dtype=torch.int64), mean=blank, deviation=blank)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracker:
    """What is known of every task of a pool, in the pool's order."""

    ids: tuple[str, ...]
    families: tuple[str, ...]
    trials: Int[Tensor, " n"]
    """Trajectories rolled out, those for scoring included."""
    scoring: Int[Tensor, " n"]
    """Of these, trajectories rolled out only to score the task."""
    groups: Int[Tensor, " n"]
    """Groups rolled out: one per draw of the task."""
    dead: Int[Tensor, " n"]
    """Of these, groups without any difference between scores."""
    ever: Moments
    """Of all ok scores so far."""
    last: Moments
    """Of the latest group that has an ok score."""


@dataclass(frozen=True, kw_only=True)
class FamilyRecord:
    """What is known of the tasks of one family together."""

    tasks: int
    tried: int
    """Tasks with at least one ok score."""
    trials: int
    mean: float
    """Mean ok score over trajectories, in reward units; 0 when there is none."""
    deviation: float
    """Standard deviation of the ok scores, in reward units."""


def scored_groups(forest: Forest, reward: str) -> ScoredGroups:
    """Read the trajectories of a scored forest as groups of scores.

    A trajectory is a leaf below a root; a root without children has none. Trees of one task and one draw are one group,
    the same task under another draw is another group.

    Args:
        forest: a forest with `task`, `reward.<reward>` and `ok.<reward>`; `draw` tells repeated tasks apart.
        reward: name of the reward, such as "total".

    Returns:
        The groups, in the order of their first roots.

    Raises:
        ColumnError: the forest lacks one of these columns.
    """
    value, counts = f"reward.{reward}", f"ok.{reward}"
    missing = [name for name in ("task", value, counts) if name not in forest]
    if missing:
        raise ColumnError(
            f"Choosing tasks needs the columns {missing}, but the forest has: {', '.join(forest.names)}. "
            "Score it with that reward first."
        )
    roots, names = forest.roots(), forest.text("task")
    at = cast("list[int]", roots.tolist())
    draws = cast("list[int]", forest["draw"][roots].tolist()) if "draw" in forest else at
    identities = [(str(names[root]), draw) for root, draw in zip(at, draws, strict=True)]
    number = {identity: index for index, identity in enumerate(dict.fromkeys(identities))}
    group_of = torch.full((len(forest),), -1, dtype=torch.int64)
    group_of[roots] = torch.tensor([number[identity] for identity in identities], dtype=torch.int64)
    rows = forest.leaves()
    rows = rows[forest.parent[rows] >= 0]
    return ScoredGroups(
        tasks=tuple(task for task, _ in number),
        rows=rows,
        group=group_of[forest.root_of()[rows]],
        score=forest[value][rows].double(),
        ok=(forest[counts] & forest.valid(counts) & forest.valid(value))[rows],
    )


def moments(score: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]) -> Moments:
    """Count, mean and sum of squared deviations of the ok scores of each group.

        deviation_g = sum_i [group_i = g] [ok_i] (score_i - mean_g)^2

    Args:
        score: one number per trajectory; NaN allowed where not ok.
        group: id of the group of each trajectory.
        groups: number of groups.
        ok: which trajectories count.

    Returns:
        One entry per group; the deviation of equal scores is exactly 0.
    """
    score = score.double()
    centred = segments.group_centre(score, group, groups, ok)
    return Moments(
        count=segments.group_count(group, groups, ok),
        mean=segments.group_mean(score, group, groups, ok),
        deviation=segments.group_sum(centred.square(), group, groups, ok),
    )


def merge(first: Moments, second: Moments) -> Moments:
    """Moments of two sets of scores taken together.

        n = n1 + n2;  d = mean2 - mean1;  mean = mean1 + d n2 / n;  deviation = dev1 + dev2 + d^2 n1 n2 / n

    Args:
        first: moments of one set, one entry per task.
        second: moments of another, of the same length.

    Returns:
        The moments of both, exactly those of one set where the other is empty.

    Source: Chan, Golub, LeVeque 1983, eq. 2.1.
    """
    count = first.count + second.count
    share = second.count / count.clamp(min=1).double()
    gap = torch.where((first.count > 0) & (second.count > 0), second.mean - first.mean, 0)
    mean = torch.where(first.count > 0, first.mean + gap * share, second.mean)
    return Moments(
        count=count, mean=mean, deviation=first.deviation + second.deviation + gap.square() * first.count * share
    )


def dead_groups(
    score: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Bool[Tensor, " g"]:
    """Groups that cannot tell one trajectory from another: their ok scores are all equal, or there are fewer than two.

        dead_g = (max_g = min_g)  or  count_g < 2

    Equality is exact: a test on a computed standard deviation takes rounding for signal.

    Args:
        score: one number per trajectory; NaN allowed where not ok.
        group: id of the group of each trajectory.
        groups: number of groups.
        ok: which trajectories count.

    Returns:
        One truth value per group.

    Source: dynamic sampling of DAPO, arXiv:2503.14476, section 3.2; exact equality as in NeMo-RL's fix 4158.
    """
    high = segments.group_max(score, group, groups, ok)
    low = segments.group_min(score, group, groups, ok)
    return (segments.group_count(group, groups, ok) < 2) | (high == low)


def track(pool: Sequence[Task]) -> Tracker:
    """Return the record of a pool of which nothing is known yet.

    Args:
        pool: the tasks; their ids must differ.

    Returns:
        The empty record.

    Raises:
        SettingError: the pool is empty, or two tasks share an id.
    """
    ids = tuple(task.id for task in pool)
    if not ids:
        raise SettingError("The pool of tasks is empty: expected at least one task.")
    if len(set(ids)) < len(ids):
        twice = next(name for index, name in enumerate(ids) if name in ids[:index])
        raise SettingError(f"Task {twice!r} occurs more than once in the pool: give each task an id of its own.")
    blank = torch.zeros(len(ids), dtype=torch.int64)
    return Tracker(
        ids=ids,
        families=tuple(task.family for task in pool),
        trials=blank,
        scoring=blank,
        groups=blank,
        dead=blank,
        ever=Moments.zeros(len(ids)),
        last=Moments.zeros(len(ids)),
    )


def positions(tracker: Tracker, tasks: Sequence[str]) -> Int[Tensor, " k"]:
    """Positions of tasks in the pool.

    Args:
        tracker: the record of the pool.
        tasks: task ids, repeats allowed.

    Returns:
        One position per id.

    Raises:
        UnknownName: a task that the pool does not have.
    """
    known = {name: index for index, name in enumerate(tracker.ids)}
    for name in tasks:
        if name not in known:
            raise unknown_name("task of the pool", name, tracker.ids[:8])
    return torch.tensor([known[name] for name in tasks], dtype=torch.int64)


def observe(tracker: Tracker, found: ScoredGroups, *, scoring: bool) -> Tracker:
    """Add the trajectories of a scored forest to the record.

    Args:
        tracker: the record so far.
        found: the groups; tasks may occur in several.
        scoring: whether they were rolled out only to score their tasks.

    Returns:
        The longer record. A task whose scores all failed gains trials, but its moments stay as they were.

    Raises:
        UnknownName: a task that the pool does not have.
    """
    size, task = len(tracker.ids), positions(tracker, found.tasks)
    of_trial = task[found.group]
    every = torch.ones_like(found.ok)
    trials = segments.group_count(of_trial, size, every)
    whole = torch.ones(len(found), dtype=torch.bool)
    dead = dead_groups(found.score, found.group, len(found), found.ok)
    return Tracker(
        ids=tracker.ids,
        families=tracker.families,
        trials=tracker.trials + trials,
        scoring=tracker.scoring + trials if scoring else tracker.scoring,
        groups=tracker.groups + segments.group_count(task, size, whole),
        dead=tracker.dead + segments.group_count(task, size, dead),
        ever=merge(tracker.ever, moments(found.score, of_trial, size, found.ok)),
        last=_latest(tracker.last, moments(found.score, found.group, len(found), found.ok), task),
    )


def _latest(before: Moments, groups: Moments, task: Tensor) -> Moments:
    number = torch.arange(len(task)).where(groups.count > 0, -1)
    latest = torch.full_like(before.count, -1).scatter_reduce(0, task, number, "amax")
    if len(task) == 0:
        return before
    fresh, at = latest >= 0, latest.clamp(min=0)
    return Moments(
        count=torch.where(fresh, groups.count[at], before.count),
        mean=torch.where(fresh, groups.mean[at], before.mean),
        deviation=torch.where(fresh, groups.deviation[at], before.deviation),
    )


def by_family(tracker: Tracker) -> Mapping[str, FamilyRecord]:
    """What is known of each family of tasks, over all trajectories so far.

    Args:
        tracker: the record of the pool.

    Returns:
        Family name to its record, in alphabetical order.
    """
    records: dict[str, FamilyRecord] = {}
    for family in sorted(set(tracker.families)):
        rows = torch.tensor([index for index, name in enumerate(tracker.families) if name == family])
        count, mean = tracker.ever.count[rows].double(), tracker.ever.mean[rows]
        total = count.sum().clamp(min=1)
        centre = (mean * count).sum() / total
        spread = (tracker.ever.deviation[rows] + count * (mean - centre).square()).sum() / total
        records[family] = FamilyRecord(
            tasks=len(rows),
            tried=int((count > 0).sum()),
            trials=int(tracker.trials[rows].sum()),
            mean=float(centre),
            deviation=float(spread.sqrt()),
        )
    return records


def metrics(tracker: Tracker) -> Mapping[str, float]:
    """Numbers about the choice so far, all cumulative.

    Args:
        tracker: the record of the pool.

    Returns:
        `choice/rollouts` and, of these, `choice/scoring_rollouts`; `choice/tasks_tried`, the share of the pool with an
        ok score; `choice/dead_share`, the share of groups without any difference; `choice/mean_score`.
    """
    groups = int(tracker.groups.sum())
    count = tracker.ever.count.double()
    return {
        "choice/rollouts": float(tracker.trials.sum()),
        "choice/scoring_rollouts": float(tracker.scoring.sum()),
        "choice/tasks_tried": float((tracker.ever.count > 0).double().mean()),
        "choice/dead_share": float(tracker.dead.sum()) / max(groups, 1),
        "choice/mean_score": float((tracker.ever.mean * count).sum() / count.sum().clamp(min=1)),
    }
