"""Task choice that keeps a part of the pool, picked once by how well the first policy does: BLEUBERI's selection."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, keys
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Drawn, Task
from milepost.sampling import tracker
from milepost.sampling.choice import Scoring, Walk, take, walk_over
from milepost.sampling.tracker import Tracker


class Pick(Protocol):
    """Which tasks to keep."""

    @property
    def scored(self) -> bool:
        """Whether it needs a score of every task."""
        ...

    def __call__(self, ids: Sequence[str], score: Float[Tensor, " n"], known: Bool[Tensor, " n"], key: int) -> Tensor:
        """Positions of the tasks to keep."""
        ...


def ranked(ids: Sequence[str], score: Float[Tensor, " n"], known: Bool[Tensor, " n"]) -> Int[Tensor, " k"]:
    """Positions of the scored tasks, lowest score first; equal scores in the order of task ids.

    Args:
        ids: task id of each task.
        score: score of each task; NaN allowed where not known.
        known: which tasks have a score; the others are left out.

    Returns:
        One position per scored task, the same tasks in the same order however the pool is ordered.
    """
    value, have = cast("list[float]", score.tolist()), cast("list[int]", known.nonzero().squeeze(1).tolist())
    return torch.tensor(sorted(have, key=lambda position: (value[position], ids[position])), dtype=torch.int64)


def window(order: Int[Tensor, " k"], count: int, *, place: float) -> Int[Tensor, " m"]:
    """`count` neighbours of a ranking.

        start = floor(place (k - count))

    Args:
        order: positions, ranked.
        count: how many to keep; all, with a warning, where there are fewer.
        place: 0 takes the first, 1/2 the middle, 1 the last.

    Returns:
        The kept positions, still ranked.
    """
    if count > len(order):
        warnings.warn(
            f"{count} tasks were to be picked, but only {len(order)} can be: all of them are kept. "
            "Ask for fewer, or give a larger pool.",
            stacklevel=2,
        )
        return order
    start = int(place * (len(order) - count))
    return order[start : start + count]


@dataclass(frozen=True, kw_only=True)
class Hardest:
    """The `count` tasks with the lowest scores.

    Source: BLEUBERI, arXiv:2505.11080, selection "hard".

    Example:
        >>> import torch
        >>> Hardest(count=1)(("a", "b"), torch.tensor([0.9, 0.1]), torch.tensor([True, True]), 0).tolist()
        [1]
    """

    scored = True
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        checks.at_least("count", self.count, 1)

    def __call__(self, ids: Sequence[str], score: Tensor, known: Tensor, key: int) -> Tensor:  # noqa: ARG002 - protocol
        """Positions of the lowest scores."""
        return window(ranked(ids, score, known), self.count, place=0.0)


@dataclass(frozen=True, kw_only=True)
class Medium:
    """The `count` tasks in the middle of the ranking by score.

    Source: BLEUBERI, arXiv:2505.11080, selection "medium".
    """

    scored = True
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        checks.at_least("count", self.count, 1)

    def __call__(self, ids: Sequence[str], score: Tensor, known: Tensor, key: int) -> Tensor:  # noqa: ARG002 - protocol
        """Positions around the median score."""
        return window(ranked(ids, score, known), self.count, place=0.5)


@dataclass(frozen=True, kw_only=True)
class Easiest:
    """The `count` tasks with the highest scores.

    Source: BLEUBERI, arXiv:2505.11080, selection "easy".
    """

    scored = True
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        checks.at_least("count", self.count, 1)

    def __call__(self, ids: Sequence[str], score: Tensor, known: Tensor, key: int) -> Tensor:  # noqa: ARG002 - protocol
        """Positions of the highest scores."""
        return window(ranked(ids, score, known), self.count, place=1.0)


@dataclass(frozen=True, kw_only=True)
class RandomPick:
    """`count` tasks picked at random; needs no scoring rollouts. A task's lot depends on its id and the key only.

    Source: BLEUBERI, arXiv:2505.11080, selection "random", the control.
    """

    scored = False
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        checks.at_least("count", self.count, 1)

    def __call__(self, ids: Sequence[str], score: Tensor, known: Tensor, key: int) -> Tensor:  # noqa: ARG002 - protocol
        """Positions of the lowest lots."""
        lots = keys.uniform([keys.fold(key, "pick", name) for name in ids], 1)[:, 0]
        return window(ranked(ids, torch.from_numpy(lots), torch.ones_like(known)), self.count, place=0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class PickedState:
    """State of `Picked`; its tensors have one entry per task of the pool, in the pool's order."""

    tracker: Tracker
    score: Float[Tensor, " n"]
    """Mean score of each task's scoring rollouts, float64."""
    known: Bool[Tensor, " n"]
    """Which tasks have such a score."""
    asked: Bool[Tensor, " n"]
    """Which tasks were rolled out for scoring, whether or not a score came of it."""
    walk: Walk
    """Shuffled pass over the kept tasks; without members until the first draw."""
    key: int


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Train on a picked part of the pool only: a shuffled pass over it, again and again.

    Before the first draw every task is rolled out once, greedily, and scored by `reward`; the pick never changes
    afterwards. A task without an ok score is left out.

    Source: BLEUBERI, arXiv:2505.11080, section 3; that the scoring answer is greedy is our choice.

    Example:
        >>> Picked(pick=Hardest(count=500), reward="bleu").scoring.greedy
        True
    """

    reads = ("reward.*", "ok.*")
    pick: Pick
    reward: str = "total"
    """Reward that ranks the tasks."""

    @property
    def scoring(self) -> Scoring:
        """One greedy answer per task; none for a pick that needs no score."""
        return Scoring(width=int(self.pick.scored), greedy=True)

    def init(self, pool: Sequence[Task], key: int) -> PickedState:
        """State before the first draw."""
        size = len(pool)
        return PickedState(
            tracker=tracker.track(pool),
            score=torch.zeros(size, dtype=torch.float64),
            known=torch.zeros(size, dtype=torch.bool),
            asked=torch.zeros(size, dtype=torch.bool),
            walk=walk_over(torch.empty(0, dtype=torch.int64), keys.fold(key, "walk")),
            key=key,
        )

    def refresh(self, state: PickedState) -> Tensor | None:
        """Tasks that were not rolled out for scoring yet, or None."""
        missing = ~state.asked
        return missing.nonzero().squeeze(1) if self.pick.scored and bool(missing.any()) else None

    def update(self, state: PickedState, forest: Forest, *, scoring: bool) -> PickedState:
        """Count the trajectories; those for scoring also rank their tasks."""
        found = tracker.scored_groups(forest, self.reward)
        state = replace(state, tracker=tracker.observe(state.tracker, found, scoring=scoring))
        if not scoring:
            return state
        size = len(state.score)
        task = tracker.positions(state.tracker, found.tasks)
        fresh = tracker.moments(found.score, task[found.group], size, found.ok)
        return replace(
            state,
            score=torch.where(fresh.count > 0, fresh.mean, state.score),
            known=state.known | (fresh.count > 0),
            asked=state.asked.index_fill(0, task, True),
        )

    def draw(self, state: PickedState, count: int) -> Drawn:
        """Take the next `count` tasks of the pass over the kept ones; picks them first, if that is still to be done.

        Raises:
            SettingError: tasks are still to be scored, or none has a score.
        """
        if len(state.walk.members) == 0:
            state = replace(state, walk=self._begin(state))
        taken = take(state.walk, count)
        return Drawn(tasks=taken.tasks, state=replace(state, walk=taken.walk))

    def _begin(self, state: PickedState) -> Walk:
        if self.refresh(state) is not None:
            raise SettingError(
                f"{int((~state.asked).sum())} of {len(state.asked)} tasks have no scoring rollout yet: roll out and "
                "score what `refresh` asks for, and pass it to `update` with scoring=True, before the first draw."
            )
        ids = state.tracker.ids
        if self.pick.scored and not bool(state.known.any()):
            raise SettingError(
                f"No task of the pool has an ok score of reward {self.reward!r}, so none can be picked: "
                "look at the reasons of the scoring pass."
            )
        kept = cast("list[int]", self.pick(ids, state.score, state.known, state.key).tolist())
        members = sorted(kept, key=lambda position: ids[position])
        return walk_over(torch.tensor(members, dtype=torch.int64), state.walk.key)

    def metrics(self, state: PickedState) -> Mapping[str, float]:
        """Numbers about the choice so far: those of `tracker.metrics`, and size and mean first score of the pick."""
        kept = state.walk.members
        scores = {"choice/picked_score": float(state.score[kept].mean())} if self.pick.scored and len(kept) else {}
        return {**tracker.metrics(state.tracker), "choice/picked": float(len(kept)), **scores}
