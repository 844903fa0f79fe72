"""Success on held-out tasks: the same tasks with the same keys at every evaluation, so that differences are paired."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from milepost import keys, storage
from milepost.engines.events import Evaluation
from milepost.evaluation import intervals
from milepost.forest import Forest
from milepost.part import Environment, Policy, Reward, Task
from milepost.recipe import Measure
from milepost.rewards import guard
from milepost.rewards.outcome import Solved
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

SAMPLES = 4
"""Answers per held-out task."""


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Grows and scores held-out trajectories."""

    policy: Policy
    environment: Environment
    tasks: Sequence[Task]
    rewards: Sequence[Reward]
    key: int
    workers: int
    verdict: Reward = field(default_factory=Solved)
    """What success is; its name is "solved"."""

    def grow(self) -> Forest:
        """Answer every held-out task and score the answers; the key is the same each time."""
        forest = grow(
            [Draw(task=task) for task in self.tasks],
            policy=self.policy,
            environment=self.environment,
            sampler=Independent(width=SAMPLES),
            key=keys.fold(self.key, "held-out"),
            workers=self.workers,
        )
        leaves = forest.leaves()
        for reward in (self.verdict, *(reward for reward in self.rewards if reward.name != self.verdict.name)):
            forest = guard.score(reward, forest, leaves)
        return forest


def success_by_task(forest: Forest) -> tuple[list[str], torch.Tensor]:
    """Share of solved answers of each task.

    Args:
        forest: held-out trajectories with `reward.solved`.

    Returns:
        Task families and success per task, in the order of the roots; a task whose answers all failed to score is NaN.
    """
    leaves = forest.leaves()
    roots = forest.roots()
    place = torch.zeros(len(forest), dtype=torch.int64).index_copy(0, roots, torch.arange(len(roots)))
    root = place[forest.root_of()[leaves]]
    ok = forest["ok.solved"][leaves]
    solved = forest["reward.solved"][leaves].double()
    total = torch.zeros(len(roots), dtype=torch.float64).index_add_(0, root, solved.where(ok, 0))
    count = torch.zeros(len(roots), dtype=torch.float64).index_add_(0, root, ok.double())
    families = forest.text("label.family")
    return [families[row] or "" for row in roots.tolist()], total / count


def summarise(forest: Forest, step: int, rewards: Sequence[str], measures: Sequence[Measure] = ()) -> Evaluation:
    """Summary of an evaluation.

    Args:
        forest: as `Evaluator.grow` returns it.
        step: training steps done before it.
        rewards: names of the recipe's rewards.
        measures: what is measured beside them.

    Returns:
        Success with a 95 % interval over tasks, by family, the mean of every reward, and the measures.
    """
    families, success = success_by_task(forest)
    known = success[success.isfinite()]
    found = intervals.mean_interval(known.tolist())
    by_family = {
        family: float(torch.stack([s for f, s in zip(families, success, strict=True) if f == family]).nanmean())
        for family in sorted(set(families))
    }
    leaves = forest.leaves()
    means: dict[str, float] = {}
    for name in rewards:
        ok = forest[f"ok.{name}"][leaves]
        if bool(ok.any()):
            means[name] = float(forest[f"reward.{name}"][leaves][ok].double().mean())
    return Evaluation(
        step=step,
        success=found.estimate,
        low=max(found.low, 0.0),
        high=min(found.high, 1.0),
        tasks=len(known),
        samples=SAMPLES,
        by_family=by_family,
        rewards=means,
        measures={one.name: value for one in measures if math.isfinite(value := one(forest))},
    )


def gain(folder: Path, first: int, last: int) -> intervals.Interval:
    """Paired difference of success between two stored evaluations, with a 95 % interval over tasks.

    Args:
        folder: the run's folder.
        first: step of the earlier evaluation.
        last: step of the later one.

    Returns:
        The interval of (later less earlier).
    """
    _, before = success_by_task(storage.read(stored(folder, first)))
    _, after = success_by_task(storage.read(stored(folder, last)))
    change = after - before
    found = intervals.mean_interval(change[change.isfinite()].tolist())
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))  # NaN stays: it is the first argument


def stored(folder: Path, step: int) -> Path:
    """Folder of the held-out forest of an evaluation."""
    return folder / "evaluation" / f"step-{step:06d}"
