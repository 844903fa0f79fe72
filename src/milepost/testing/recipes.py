"""Check of a recipe: its card says everything, it builds with its defaults, and it learns in a small world."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from milepost import keys, recipe
from milepost.engines.beside.learned import Beside
from milepost.engines.settings import UpdateSettings
from milepost.forest import Forest
from milepost.part import StatefulCredit, Task
from milepost.policies.features import described
from milepost.recipe import Card, Curate, Evaluate, Job, Remembers, Search, Seeker, Train
from milepost.rewards import combine, guard
from milepost.sampling.frontier import Draw, grow
from milepost.testing.control import balance
from milepost.testing.forests import batch, difference
from milepost.testing.parts import Check, check_part, require, run_all, same, scored_batch, settings
from milepost.testing.strategies import check_choice, check_sampler
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace

_DOMAINS = ("text", "agent", "flow", "control", "planning", "vision")
_JOBS = ("train", "search", "curate", "evaluate")
_KEY = keys.root(0)
_SOLVED = ((0.0, 1.0, 1.0, 0.0), (1.0,), (1.0, 1.0, 1.0), (None, 1.0, 0.0, None), (None, None), (0.0, 0.0), (None, 1.0))


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a few steps in a small world did."""

    policy: TabularPolicy
    losses: tuple[float, ...]
    last: Forest


def check_recipe(name: str, *, tests: Path | None = None) -> tuple[str, ...]:
    """Check a recipe from its card to a few steps of learning.

    Args:
        name: recipe name as `milepost list` prints it.
        tests: folder that holds the tests which the card's claims name; None leaves that check out.

    Returns:
        Names of the checks that were run.

    Raises:
        UnknownName: no such recipe.
        AssertionError: with one line for each broken promise.
    """
    card, job = recipe.card(name), recipe.builder(name)()
    if isinstance(job, Curate):
        return check_curation(name, card, job, tests=tests)
    if isinstance(job, Search):
        return check_search(name, card, job, tests=tests)
    if isinstance(job, Evaluate):
        return check_evaluation(name, card, job, tests=tests)
    rewards = sorted({reward.name for reward in job.rewards} | {"total"} | _learned_name(job))

    def checks() -> Iterator[Check]:
        yield from _opening(name, card, job, tests)
        yield Check(name="task choice", run=lambda: _passes(lambda: check_choice(job.choice, names=rewards)))
        yield Check(name="sampler", run=lambda: _passes(lambda: check_sampler(job.sampler)))
        solved = batch(rewards, groups=_SOLVED)
        yield Check(name="credit", run=lambda: _passes(lambda: check_part(job.credit, forest=solved)))
        scored = scored_batch(rewards)
        yield Check(name="objective", run=lambda: _passes(lambda: check_part(job.objective, forest=scored)))
        control = "control" in card.domains
        yield Check(name="learns", run=lambda: _learns_to_balance(job) if control else _learns(job))

    return run_all(job, list(checks()))


def _opening(name: str, card: Card, job: Job, tests: Path | None) -> Iterator[Check]:
    yield Check(name="card", run=lambda: _card(card))
    if tests is not None:
        yield Check(name="claims", run=lambda: _claims(card, tests))
    yield Check(name="settings", run=lambda: _settings(name, job))


def _learned_name(job: Train) -> set[str]:
    return set() if job.learned is None else {job.learned.name}


def check_curation(name: str, card: Card, job: Curate, *, tests: Path | None) -> tuple[str, ...]:
    """Check a recipe that curates, from its card to what it writes on a few conversations.

    Args:
        name: of the recipe.
        card: its card.
        job: what it builds with its defaults.
        tests: folder that holds the tests which the card's claims name; None leaves that check out.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """

    def checks() -> Iterator[Check]:
        yield from _opening(name, card, job, tests)
        for step in job.steps:
            yield Check(name=f"settings of {type(step).__name__}", run=lambda part=step: settings(part))
        yield Check(name="writes what it declares", run=lambda: _curates(job, conversations()))
        yield Check(name="writes nothing on nothing", run=lambda: _curates(job, conversations(0)))

    return run_all(job, list(checks()))


def check_search(name: str, card: Card, job: Search, *, tests: Path | None) -> tuple[str, ...]:
    """Check a recipe that searches, from its card to one search by each of its seekers.

    Args:
        name: of the recipe.
        card: its card.
        job: what it builds with its defaults.
        tests: folder that holds the tests which the card's claims name; None leaves that check out.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """

    def checks() -> Iterator[Check]:
        yield from _opening(name, card, job, tests)
        for own, seeker in job.seekers.items():
            yield Check(name=f"{own} finds the same again", run=lambda part=seeker: _finds(part, job.tasks[0]))

    return run_all(job, list(checks()))


def check_evaluation(name: str, card: Card, job: Evaluate, *, tests: Path | None) -> tuple[str, ...]:
    """Check a recipe that measures: its card and settings. What it measures takes long; its own tests do that in small.

    Args:
        name: of the recipe.
        card: its card.
        job: what it builds with its defaults.
        tests: folder that holds the tests which the card's claims name; None leaves that check out.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """
    return run_all(job, list(_opening(name, card, job, tests)))


def _finds(seeker: Seeker, task: str) -> None:
    first, again = seeker(task, _KEY), seeker(task, _KEY)
    require(difference(first.forest, again.forest) is None, f"two searches for {task!r} with one key differ")
    require(first.progress == again.progress, f"two searches for {task!r} with one key went differently")
    costs = [cost for _, cost in first.progress]
    require(costs == sorted(costs, reverse=True), "the best cost rose")
    require(not costs or costs[-1] == first.cost, "the cost is not the last best cost")


def conversations(count: int = 6) -> Forest:
    """A forest of short conversations with tool calls, some of which go wrong."""
    said = ("Book a flight.", "No, that is not what I asked!!", "Thank you")
    traces = [
        Trace(
            id=str(number),
            task=f"task {number % 3}",
            draw=number // 3,
            messages=[
                {"role": "user", "content": said[number % 3]},
                {"role": "assistant", "content": None, "tool_calls": [{"name": "book", "arguments": "{}"}]},
                {"role": "tool", "content": "Error: no such flight" if number % 2 else "booked"},
                {"role": "assistant", "content": "Done."},
            ],
            rewards={"outcome": float(number % 2)},
        )
        for number in range(count)
    ]
    return forest_of(traces)


def _curates(job: Curate, forest: Forest) -> None:
    before = deepcopy(forest)
    once, twice = forest, forest
    for step in job.steps:
        once, twice = step(once), step(twice)
        missing = [name for name in step.writes if name not in once]
        require(not missing, f"{type(step).__name__} declares {missing} and does not write it")
    require(difference(once, twice) is None, "the same forest gives other columns the second time")
    require(difference(forest, before) is None, "the forest that was given was changed")
    kept = once.without(*[name for name in once.columns if name not in forest.columns])
    require(difference(kept, forest) is None, "a column that was there has changed")


def _passes(check: Any) -> None:
    check()


def _card(card: Card) -> None:
    empty = [name for name in ("title", "paper", "summary", "parts", "claims", "bibtex") if not getattr(card, name)]
    require(not empty, f"{', '.join(empty)} of the card is empty")
    require(1950 < card.year < 2100, f"the year is {card.year}")
    require(
        bool(card.domains) and set(card.domains) <= set(_DOMAINS), f"domains are {card.domains}, expected of {_DOMAINS}"
    )
    require(card.job in _JOBS, f"the job is {card.job!r}, expected one of {_JOBS}")
    require(card.bibtex.lstrip().startswith("@"), "bibtex does not start with @")


def _claims(card: Card, tests: Path) -> None:
    for claim, where in card.claims.items():
        path, _, test = where.partition("::")
        file = tests.parent / path
        found = file.is_file() and f"def {test.rpartition('::')[2].partition('[')[0]}(" in file.read_text(
            encoding="utf-8"
        )
        require(found, f"the claim {claim!r} names {where}, which does not exist")


def _settings(name: str, job: Job) -> None:
    known = recipe.settings_of(name)
    loose = [
        n for n, one in known.items() if one.kind is not inspect.Parameter.KEYWORD_ONLY or one.default is one.empty
    ]
    require(not loose, f"settings {loose} are not keyword-only with a default")
    bare = [n for n, one in known.items() if one.annotation is one.empty]
    require(not bare, f"settings {bare} have no type")
    again = recipe.builder(name)(**{n: one.default for n, one in known.items()})
    require(same(again, job), "built with its defaults written out it is another job")


def _learns_to_balance(job: Train) -> None:
    first, second = (balance(job, steps=2) for _ in range(2))
    require(same(first.losses, second.losses), "two runs of the same key differ")
    require(all(abs(loss) < float("inf") for loss in first.losses), f"the losses are {first.losses}")
    require(same(first.weights, second.weights), "two runs of the same key end with other weights")
    require(bool(first.last.valid("advantage").any()), "no step has credit")


def _learns(job: Train) -> None:
    first, second = (learn(job, steps=3) for _ in range(2))
    require(same(first.losses, second.losses), "two runs of the same key differ")
    finite = all(abs(loss) < float("inf") for loss in first.losses)
    require(finite and len(first.losses) == 3, f"the losses are {first.losses}")
    fresh = TabularPolicy.random("abc", key=_KEY, length=2)
    require(not torch.equal(first.policy.table, fresh.table), "three steps changed no weight")
    counted = first.last.valid("advantage") & ~first.last["ok.total"]
    require(not bool(counted[first.last.leaves()].any()), "a row whose reward failed counts")


def learn(job: Train, *, steps: int, width_of_pool: int = 6) -> Learned:
    """Train the tabular policy for a few steps; each reward of the job is stood in for by the world's payoff.

    Args:
        job: a recipe's job.
        steps: number of updates.
        width_of_pool: number of tasks.

    Returns:
        The policy, its losses and the last batch.
    """
    pool = [_task(number) for number in range(width_of_pool)]
    policy, reference, beside = (TabularPolicy.random("abc", key=_KEY, length=2) for _ in range(3))
    own = None if isinstance(job.learned, Remembers) else job.learned
    taught = None if own is None else Beside.of(own, beside, UpdateSettings())
    optimiser = torch.optim.SGD(list(policy.trainable().values()), lr=0.5)
    chosen = job.choice.init(pool, _KEY)
    credit: Any = job.credit.init() if isinstance(job.credit, StatefulCredit) else None
    losses: list[float] = []
    forest = Forest.of([])
    for step in range(steps):
        wanted = job.choice.refresh(chosen)
        if wanted is not None:
            scoring = _rollout(
                job, policy, [pool[place] for place in wanted.tolist()], keys.fold(_KEY, "refresh", step)
            )
            chosen = job.choice.update(chosen, scoring, scoring=True)
        drawn = job.choice.draw(chosen, 4)
        forest = _rollout(job, policy, [pool[place] for place in drawn.tasks.tolist()], keys.fold(_KEY, "step", step))
        chosen = job.choice.update(drawn.state, forest, scoring=False)
        forest = forest if taught is None else taught(forest, keys.fold(_KEY, "step", step)).forest
        forest = described(forest, policy, job.credit)
        if isinstance(job.credit, StatefulCredit):
            forest, credit = job.credit.apply(forest, credit)
        else:
            forest = job.credit(forest)
        seen = forest if job.view is None else job.view(forest)
        rows = torch.arange(len(seen))
        held = reference.log_prob(seen, rows).detach() if job.objective.needs_reference else None
        optimiser.zero_grad()
        loss = job.objective(seen, policy.log_prob(seen, rows), held).loss
        loss.backward()
        optimiser.step()
        policy.advance()
        losses.append(float(loss.detach()))
    return Learned(policy=deepcopy(policy), losses=tuple(losses), last=forest)


def _task(number: int) -> Task:
    payoff: dict[str, float | None] = {"abc"[number % 3] + second: 1.0 for second in "abc"}
    return letter_task(f"t{number}", prompt="abc"[number % 3], payoff={**payoff, "cc": None})


def _rollout(job: Train, policy: TabularPolicy, tasks: list[Task], key: int) -> Forest:
    number: dict[str, int] = {}
    draws: list[Draw] = []
    for task in tasks:
        number[task.id] = number.get(task.id, -1) + 1
        draws.append(Draw(task=task, number=number[task.id]))
    forest = grow(draws, policy=policy, environment=Letters(), sampler=job.sampler, key=key)
    for reward in job.rewards:
        forest = guard.score(Payoff(name=reward.name), forest, forest.leaves())
    return combine.total(forest, [reward.name for reward in job.rewards], list(job.weights))
