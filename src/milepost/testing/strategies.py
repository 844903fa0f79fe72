"""Checks of what decides what is rolled out: samplers and task choices."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor

from milepost import keys
from milepost import state as states
from milepost.forest import Forest
from milepost.part import Sampler, Task, TaskChoice
from milepost.sampling.branching.hooks import Reviews, Screens
from milepost.sampling.frontier import Draw, grow
from milepost.testing.forests import batch, difference
from milepost.testing.parts import Check, require, run_all, settings
from milepost.testing.worlds import Letters, TabularPolicy, letter_task

T = TypeVar("T")
_KEY = keys.root(0)
_MOST_ROWS = 100_000


def through_checkpoint(found: T) -> T:
    """Return a state as a checkpoint would give it back.

    Args:
        found: a state of a part.

    Returns:
        The state, taken apart, written as JSON and put together again.

    Raises:
        SettingError: the state holds something that cannot be kept.
    """
    dumped = states.dump(found)
    record = json.loads(json.dumps(dumped.record, allow_nan=False))
    return states.load(type(found), states.Dumped(dumped.tensors, record))


def fingerprint(found: object) -> str:
    """Everything that a state holds, as one string to compare.

    Args:
        found: a state of a part.

    Returns:
        The record and the tensors, written out in full.
    """
    dumped = states.dump(found)
    tensors = {
        name: [str(tensor.dtype), *tensor.shape, repr(tensor.tolist())] for name, tensor in dumped.tensors.items()
    }
    return json.dumps([dumped.record, tensors])


# ---- samplers ----


class _Watched:
    """A sampler whose state goes through a checkpoint at every call, and which is not allowed to change it."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def init(self, forest: Forest, key: int) -> Any:
        return through_checkpoint(self.sampler.init(forest, key))

    def ask(self, forest: Forest, state: Any) -> Any:
        before, kept = fingerprint(state), deepcopy(forest)
        extension = self.sampler.ask(forest, state)
        require(fingerprint(state) == before, "ask changed the state it was given")
        require((found := difference(kept, forest)) is None, f"ask changed the forest: {found}")
        require(len(forest) < _MOST_ROWS, f"it is not done after {len(forest)} rows")
        return extension

    def screen(self, forest: Forest, rows: Tensor, state: Any) -> Forest:
        return self._looked(self.sampler.screen, forest, rows, state) if isinstance(self.sampler, Screens) else forest

    def review(self, forest: Forest, rows: Tensor, state: Any) -> Forest:
        return self._looked(self.sampler.review, forest, rows, state) if isinstance(self.sampler, Reviews) else forest

    def _looked(self, look: Any, forest: Forest, rows: Tensor, state: Any) -> Forest:
        before, kept = fingerprint(state), deepcopy(forest)
        found = look(forest, rows, state)
        require(fingerprint(state) == before, "looking at steps changed the state it was given")
        require((odd := difference(kept, forest)) is None, f"looking at steps changed the forest it was given: {odd}")
        require(torch.equal(found.parent, forest.parent), "looking at steps added or removed rows")
        return found

    def tell(self, forest: Forest, rows: Tensor, state: Any) -> Any:
        before = fingerprint(state)
        after = self.sampler.tell(forest, rows, state)
        require(fingerprint(state) == before, "tell changed the state it was given")
        return through_checkpoint(after)


def check_sampler(sampler: Sampler, *, turns: Sequence[int] = (1, 3)) -> tuple[str, ...]:
    """Check that a sampler ends, asks for what exists, keeps its state in the open, and does not depend on the batch.

    Args:
        sampler: the sampler.
        turns: numbers of turns of the worlds it is tried in.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.

    Example:
        >>> from milepost.sampling.independent import Independent
        >>> check_sampler(Independent(width=3))
        ('settings', 'state in the open (1 turns)', 'state in the open (3 turns)', 'empty batch')
    """

    def checks() -> Iterator[Check]:
        yield Check(name="settings", run=lambda: settings(sampler))
        for count in turns:
            yield Check(name=f"state in the open ({count} turns)", run=lambda count=count: _grows(sampler, count))
        yield Check(
            name="empty batch", run=lambda: require(len(_grown(sampler, 1, 0)) == 0, "it grows nothing into rows")
        )

    return run_all(sampler, list(checks()))


def _grown(sampler: Sampler, turns: int, roots: int) -> Forest:
    tasks = [letter_task(f"t{number}", prompt="abc"[number % 3], payoff={}) for number in range(roots)]
    policy = TabularPolicy.random("abc.", key=_KEY, length=2)
    world = Letters(turns=turns, shows=".")
    return grow([Draw(task=task) for task in tasks], policy=policy, environment=world, sampler=sampler, key=_KEY)


def _grows(sampler: Sampler, turns: int) -> None:
    plain, watched = _grown(sampler, turns, 5), _grown(_Watched(sampler), turns, 5)
    found = difference(plain, watched)
    require(found is None, f"its state is more than what it shows, or it is not repeatable: {found}")
    require(len(plain) > 5, "it asked for nothing")


# ---- task choices ----


def check_choice(choice: TaskChoice, *, names: Sequence[str] = ("total",)) -> tuple[str, ...]:
    """Check that a task choice draws from its pool, repeats itself from its key, and keeps its state in the open.

    Args:
        choice: the choice of tasks.
        names: rewards that it learns from.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.

    Example:
        >>> from milepost.sampling.choice import Uniform
        >>> len(check_choice(Uniform()))
        4
    """
    pool = [Task(id=f"task:{number}", record={}, family=f"family:{number % 2}") for number in range(8)]
    scored = batch(names)

    def checks() -> Iterator[Check]:
        yield Check(name="settings", run=lambda: settings(choice))
        yield Check(name="draws", run=lambda: _draws(choice, pool, scored))
        yield Check(name="state in the open", run=lambda: _open(choice, pool, scored))
        yield Check(name="order of the pool", run=lambda: _pool_order(choice, pool, scored))

    return run_all(choice, list(checks()))


def _learned(choice: TaskChoice, pool: Sequence[Task], scored: Forest, key: int) -> Any:
    """A state that has seen one batch."""
    begun = choice.init(pool, key)
    wanted = choice.refresh(begun)
    if wanted is not None:
        require(bool(((wanted >= 0) & (wanted < len(pool))).all()), f"refresh asks for {wanted.tolist()}")
    return choice.update(begun, scored, scoring=wanted is not None)


def _draws(choice: TaskChoice, pool: Sequence[Task], scored: Forest) -> None:
    for key in (1, 2):
        first, second = (choice.draw(_learned(choice, pool, scored, key), 20) for _ in range(2))
        require(torch.equal(first.tasks, second.tasks), "the same key gave two draws")
        require(first.tasks.shape == (20,) and first.tasks.dtype == torch.int64, "it did not draw 20 positions")
        inside = bool(((first.tasks >= 0) & (first.tasks < len(pool))).all())
        require(inside, f"it drew {first.tasks.tolist()} from a pool of {len(pool)}")
    require(len(choice.draw(_learned(choice, pool, scored, 1), 0).tasks) == 0, "a draw of no tasks is not empty")


def _open(choice: TaskChoice, pool: Sequence[Task], scored: Forest) -> None:
    learned = _learned(choice, pool, scored, 1)
    before = fingerprint(learned)
    drawn = choice.draw(learned, 5)
    choice.update(learned, scored, scoring=False)
    require(fingerprint(learned) == before, "draw or update changed the state it was given")
    again = choice.draw(through_checkpoint(learned), 5)
    require(torch.equal(drawn.tasks, again.tasks), "after a checkpoint it draws other tasks")
    require(fingerprint(drawn.state) == fingerprint(again.state), "after a checkpoint it goes on from another state")
    later = [choice.draw(choice.update(found, scored, scoring=False), 5).tasks for found in (drawn.state, again.state)]
    require(torch.equal(*later), "after a checkpoint it learns otherwise")


def _pool_order(choice: TaskChoice, pool: Sequence[Task], scored: Forest) -> None:
    backwards = list(reversed(pool))
    forth = [pool[place].id for place in choice.draw(_learned(choice, pool, scored, 1), 6).tasks.tolist()]
    back = [backwards[place].id for place in choice.draw(_learned(choice, backwards, scored, 1), 6).tasks.tolist()]
    require(forth == back, f"a pool in another order gives {back}, not {forth}")
