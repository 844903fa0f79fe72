"""Which tasks to roll out next: what all choices share, and the plain one, a shuffled pass over the pool.

All choices go through the pool in the order of the task ids: the order in which a pool is given changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from milepost import keys
from milepost.forest import Forest
from milepost.part import Drawn, Task
from milepost.sampling import tracker
from milepost.sampling.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the tasks that `refresh` asks for are rolled out."""

    width: int
    """Trajectories per task; 0 where `refresh` never asks for any."""
    greedy: bool
    """Whether the policy takes its likeliest answer instead of sampling one."""


@runtime_checkable
class ScoresPool(Protocol):
    """A task choice that rolls out tasks only to score them says how. Their cost counts."""

    @property
    def scoring(self) -> Scoring:
        """Width and manner of the scoring rollouts."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A task choice with numbers to report."""

    def metrics(self, state: object) -> Mapping[str, float]:
        """Numbers named `choice/...`, cumulative over the run."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk:
    """A shuffled pass over some tasks, again and again, and where it stands."""

    members: Int[Tensor, " m"]
    """Positions in the pool, in the order of their task ids."""
    order: Int[Tensor, " m"]
    """The members in the order of this epoch."""
    key: int
    epoch: int
    place: int
    """How many of this epoch were taken."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The next tasks of a walk, and the walk after them."""

    tasks: Int[Tensor, " k"]
    walk: Walk


def by_id(pool: Sequence[Task]) -> Int[Tensor, " n"]:
    """Positions of the tasks of a pool in the order of their ids.

    Args:
        pool: the tasks.

    Returns:
        A permutation of 0 .. n - 1.
    """
    return torch.tensor(sorted(range(len(pool)), key=lambda position: pool[position].id), dtype=torch.int64)


def walk_over(members: Int[Tensor, " m"], key: int) -> Walk:
    """Begin a shuffled pass.

    Args:
        members: positions to walk over, in an order that depends on their ids only.
        key: what the orders of all epochs are derived from.

    Returns:
        The walk before its first task.
    """
    return Walk(members=members, order=_shuffled(members, key, 0), key=key, epoch=0, place=0)


def take(walk: Walk, count: int) -> Taken:
    """Take the next tasks of a walk; where an epoch ends, the next one begins in a fresh order.

    Args:
        walk: where the pass stands; it has at least one member unless `count` is 0.
        count: how many tasks.

    Returns:
        `count` positions: no task comes again before every other one came, within an epoch.
    """
    pieces: list[Tensor] = []
    while count > 0:
        if walk.place == len(walk.order):
            epoch = walk.epoch + 1
            walk = replace(walk, order=_shuffled(walk.members, walk.key, epoch), epoch=epoch, place=0)
        piece = walk.order[walk.place : walk.place + count]
        walk = replace(walk, place=walk.place + len(piece))
        pieces.append(piece)
        count -= len(piece)
    return Taken(tasks=torch.cat(pieces) if pieces else walk.order[:0], walk=walk)


def _shuffled(members: Tensor, key: int, epoch: int) -> Tensor:
    order = keys.generator(keys.fold(key, "epoch", epoch)).permutation(len(members))
    return members[torch.from_numpy(order)]


@dataclass(frozen=True, kw_only=True, eq=False)
class UniformState:
    """State of `Uniform`."""

    tracker: Tracker
    walk: Walk


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """A shuffled pass over the pool: every task once per epoch, in an order derived from key and epoch.

    The record of scores is kept for its metrics; it changes no draw.

    Example:
        >>> from milepost.part import Task
        >>> pool = [Task(id=name, record={}) for name in "abc"]
        >>> choice = Uniform()
        >>> sorted(choice.draw(choice.init(pool, key=1), 3).tasks.tolist())
        [0, 1, 2]
    """

    reads = ("reward.*", "ok.*")
    reward: str = "total"
    """Reward whose statistics are kept."""

    def init(self, pool: Sequence[Task], key: int) -> UniformState:
        """State before the first draw."""
        return UniformState(tracker=tracker.track(pool), walk=walk_over(by_id(pool), keys.fold(key, "walk")))

    def refresh(self, state: UniformState) -> Tensor | None:  # noqa: ARG002 - the protocol of task choice
        """Nothing is rolled out for scoring."""
        return None

    def update(self, state: UniformState, forest: Forest, *, scoring: bool) -> UniformState:
        """Count the trajectories and their scores."""
        found = tracker.scored_groups(forest, self.reward)
        return replace(state, tracker=tracker.observe(state.tracker, found, scoring=scoring))

    def draw(self, state: UniformState, count: int) -> Drawn:
        """Take the next `count` tasks of the pass."""
        taken = take(state.walk, count)
        return Drawn(tasks=taken.tasks, state=replace(state, walk=taken.walk))

    def metrics(self, state: UniformState) -> Mapping[str, float]:
        """Numbers about the choice so far; see `tracker.metrics`."""
        return tracker.metrics(state.tracker)
