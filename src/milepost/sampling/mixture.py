"""Task choice that draws one part of each batch by weight and the rest from a shuffled pass over the pool."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, keys, segments
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Drawn, Task
from milepost.sampling import tracker
from milepost.sampling.choice import Scoring, Walk, by_id, take, walk_over
from milepost.sampling.tracker import ScoredGroups, Tracker

SMALLEST_FLOOR = 1e-6
"""Below this a task could not be drawn by weight any more."""


class GroupScorer(Protocol):
    """Says how much a group of scored trajectories promises."""

    @property
    def reward(self) -> str:
        """Name of the reward it looks at."""
        ...

    def __call__(self, forest: Forest, found: ScoredGroups) -> Float[Tensor, " g"]:
        """One number of at least 0 per group."""
        ...


class Refresh(Protocol):
    """When the weights of tasks are measured, and on whose rollouts."""

    @property
    def scoring(self) -> Scoring:
        """How tasks are rolled out for scoring."""
        ...

    def due(self, draws: int, scored_at: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Which tasks are to be rolled out for scoring before the next draw."""
        ...

    def learns(self, *, scoring: bool) -> bool:
        """Whether a forest changes the weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class WholePool:
    """Roll out every task of the pool before the first draw and again after every `every` draws, only to score it.

    The paper's rule. Its rollouts are a cost like any other: `width` times the size of the pool, each time.

    Source: MMR1 / VAS, T_update.
    """

    every: int = 28
    """Draws (training steps, where nothing is resampled) between two passes."""
    width: int = 8
    """Trajectories per task and pass."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("every", self.every, 1)
        checks.at_least("width", self.width, 2)

    @property
    def scoring(self) -> Scoring:
        """Sampled answers, `width` per task."""
        return Scoring(width=self.width, greedy=False)

    def due(self, draws: int, scored_at: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Tasks not scored since the latest multiple of `every` draws; so a pass may be cut into pieces."""
        return scored_at < draws // self.every * self.every

    def learns(self, *, scoring: bool) -> bool:
        """Scoring passes only."""
        return scoring


@dataclass(frozen=True, kw_only=True)
class FromTraining:
    """Learn the weights from the groups that are trained on: no rollout is spent on scoring.

    A task that was never drawn has the mean weight of those that were.
    """

    @property
    def scoring(self) -> Scoring:
        """Nothing is rolled out for scoring."""
        return Scoring(width=0, greedy=False)

    def due(self, draws: int, scored_at: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:  # noqa: ARG002 - the protocol
        """No task."""
        return torch.zeros_like(scored_at, dtype=torch.bool)

    def learns(self, *, scoring: bool) -> bool:  # noqa: ARG002 - the protocol
        """Every forest."""
        return True


@dataclass(frozen=True, kw_only=True, eq=False)
class MixtureState:
    """State of `Mixture`; its tensors have one entry per task of the pool, in the pool's order."""

    tracker: Tracker
    walk: Walk
    score: Float[Tensor, " n"]
    """Score of each task, float64."""
    known: Bool[Tensor, " n"]
    """Which tasks have a score."""
    scored_at: Int[Tensor, " n"]
    """Number of draws at the latest scoring rollout, -1 before the first."""
    draws: int
    """Batches drawn so far."""
    key: int


def sampling_weights(score: Float[Tensor, " n"], known: Bool[Tensor, " n"], *, floor: float) -> Float[Tensor, " n"]:
    """Weights of a draw from scores.

        w_i = max(score_i, floor) where known, else the mean of the known ones; 1 where nothing is known

    Equal scores give a uniform draw and no task gets weight 0. The reference code scales to [0, 1] by minimum and
    maximum instead, which makes the lowest task unreachable and has no distribution at all when scores are equal.

    Args:
        score: at least 0.
        known: which tasks have a score.
        floor: smallest weight, above 0.

    Returns:
        Positive weights, not normalised.
    """
    if not bool(known.any()):
        return torch.ones_like(score)
    weight = score.clamp(min=floor)
    return torch.where(known, weight, weight[known].mean())


def draw_weighted(weight: Float[Tensor, " n"], count: int, key: int) -> Int[Tensor, " k"]:
    """Draw with replacement, with probability proportional to the weights.

        P(i) = w_i / sum_j w_j

    Args:
        weight: positive weights.
        count: how many to draw.
        key: where the randomness comes from.

    Returns:
        `count` positions.
    """
    bounds = weight.double().cumsum(0)
    aim = torch.from_numpy(keys.generator(key).random(count)) * bounds[-1]
    return torch.searchsorted(bounds, aim, right=True).clamp(max=len(weight) - 1)


def weighted_slots(count: int, share: float) -> Bool[Tensor, " k"]:
    """Which places of a batch are drawn by weight: floor(share * count) of them, spread evenly.

        place i is one of them  if  floor((i + 1) m / count) > floor(i m / count),   m = floor(share * count)

    Args:
        count: size of the batch.
        share: in [0, 1].

    Returns:
        One truth value per place.
    """
    weighted = math.floor(share * count + 1e-9)  # so that 0.29 * 100 is 29, not 28
    edge = torch.arange(count + 1) * weighted // max(count, 1)
    return edge.diff() > 0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Draw `weighted_share` of each batch by weight, with replacement, and the rest from a shuffled pass over the pool.

    A task may come twice in one batch; each draw is a group of its own. With a share of 0 the stream is `Uniform`'s, to
    the bit.

    Source: MMR1 / VAS, mixture of weighted and uniform sampling with ratio lambda.

    Example:
        >>> from milepost.sampling.variance import VariancePromotion
        >>> Mixture(scorer=VariancePromotion(), refresher=FromTraining()).weighted_share
        0.5
    """

    reads = ("reward.*", "ok.*")
    scorer: GroupScorer
    refresher: Refresh
    weighted_share: float = 0.5
    """lambda, in [0, 1]."""
    momentum: float = 0.0
    """Share of a task's old score in its new one, in [0, 1)."""
    floor: float = SMALLEST_FLOOR
    """Smallest weight of a task, at least 1e-6: no task is ever out of reach."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("weighted_share", self.weighted_share, 0.0, 1.0)
        checks.within("momentum", self.momentum, 0.0, 1.0)
        checks.within("floor", self.floor, SMALLEST_FLOOR, math.inf)
        if self.momentum == 1.0:
            raise SettingError("momentum=1.0 is not allowed: scores would never change. Expected a number below 1.")

    @property
    def scoring(self) -> Scoring:
        """How tasks are rolled out for scoring; width 0 when they never are."""
        return self.refresher.scoring

    def init(self, pool: Sequence[Task], key: int) -> MixtureState:
        """State before the first draw: nothing is known of any task."""
        size = len(pool)
        return MixtureState(
            tracker=tracker.track(pool),
            walk=walk_over(by_id(pool), keys.fold(key, "walk")),
            score=torch.zeros(size, dtype=torch.float64),
            known=torch.zeros(size, dtype=torch.bool),
            scored_at=torch.full((size,), -1, dtype=torch.int64),
            draws=0,
            key=key,
        )

    def refresh(self, state: MixtureState) -> Tensor | None:
        """Positions of the tasks to roll out for scoring before the next draw, or None."""
        due = self.refresher.due(state.draws, state.scored_at)
        return due.nonzero().squeeze(1) if bool(due.any()) else None

    def update(self, state: MixtureState, forest: Forest, *, scoring: bool) -> MixtureState:
        """Count the trajectories, and score the tasks anew where the refresh rule says so.

        A task with several groups gets the mean of their scores. A task none of whose scores is ok keeps what it had.
        """
        found = tracker.scored_groups(forest, self.scorer.reward)
        state = replace(state, tracker=tracker.observe(state.tracker, found, scoring=scoring))
        task, size = tracker.positions(state.tracker, found.tasks), len(state.score)
        if scoring:
            state = replace(state, scored_at=state.scored_at.index_fill(0, task, state.draws))
        if not self.refresher.learns(scoring=scoring):
            return state
        usable = segments.group_count(found.group, len(found), found.ok) > 0
        fresh = segments.group_mean(self.scorer(forest, found), task, size, usable)
        seen = segments.group_count(task, size, usable) > 0
        blended = torch.where(state.known, self.momentum * state.score + (1 - self.momentum) * fresh, fresh)
        return replace(state, score=torch.where(seen, blended, state.score), known=state.known | seen)

    def weights(self, state: MixtureState) -> Float[Tensor, " n"]:
        """Weight of each task in the weighted part of a batch, in the pool's order, summing to 1."""
        weight = sampling_weights(state.score, state.known, floor=self.floor)
        return weight / weight.sum()

    def draw(self, state: MixtureState, count: int) -> Drawn:
        """Draw the next batch; weighted and uniform draws alternate evenly, so that every minibatch holds both."""
        slots = weighted_slots(count, self.weighted_share)
        weighted = int(slots.sum())
        members = state.walk.members
        weight = sampling_weights(state.score[members], state.known[members], floor=self.floor)
        key = keys.fold(state.key, "weighted", state.draws)
        taken = take(state.walk, count - weighted)
        tasks = torch.empty(count, dtype=torch.int64)
        tasks[slots] = members[draw_weighted(weight, weighted, key)]
        tasks[~slots] = taken.tasks
        return Drawn(tasks=tasks, state=replace(state, walk=taken.walk, draws=state.draws + 1))

    def metrics(self, state: MixtureState) -> Mapping[str, float]:
        """Numbers about the choice so far: those of `tracker.metrics`, and the number of tasks the weights amount to.

        choice/effective_tasks = 1 / sum_i w_i^2
        """
        effective = 1 / float(self.weights(state).square().sum())
        return {**tracker.metrics(state.tracker), "choice/effective_tasks": effective}
