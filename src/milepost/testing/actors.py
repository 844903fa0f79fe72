"""Checks of what acts and what answers: rewards, environments and policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor

from milepost import keys
from milepost.columns import REASONS, End, Role
from milepost.forest import Forest
from milepost.part import Action, Environment, Policy, Reward, Scores, Task, Transition
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.forests import difference
from milepost.testing.parts import Check, require, run_all, same, settings

_KEY = keys.root(0)

# ---- rewards ----


def check_reward(reward: Reward, forest: Forest, rows: Tensor | None = None) -> tuple[str, ...]:
    """Check that a reward scores every row by itself, within its range, and says why where it cannot.

    Args:
        reward: the reward.
        forest: what it can score.
        rows: the rows to score; default the leaves, or every step for a reward of steps.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """
    steps = (forest.parent >= 0).nonzero().squeeze(1)
    asked = (forest.leaves() if reward.when == "leaf" else steps) if rows is None else rows

    def checks() -> Iterator[Check]:
        yield Check(name="settings", run=lambda: settings(reward))
        yield Check(name="declarations", run=lambda: _declares(reward))
        yield Check(name="values, ok and reasons", run=lambda: _scores(reward, forest, asked))
        yield Check(name="input untouched, same bytes", run=lambda: _repeats(reward, forest, asked))
        yield Check(name="each row by itself", run=lambda: _by_itself(reward, forest, asked))
        yield Check(name="no rows", run=lambda: require(len(reward(forest, asked[:0]).values) == 0, "it scored a row"))

    return run_all(reward, list(checks()))


def _declares(reward: Reward) -> None:
    require(reward.name.isidentifier(), f"its name {reward.name!r} is not a plain word")
    require(reward.when in ("step", "leaf"), f"when is {reward.when!r}, expected 'step' or 'leaf'")
    require(reward.side in ("before", "after"), f"side is {reward.side!r}, expected 'before' or 'after'")
    require(reward.range[0] < reward.range[1], f"its range is {reward.range}")


def _scores(reward: Reward, forest: Forest, rows: Tensor) -> None:
    found = reward(forest, rows)
    shapes = [tuple(found.values.shape), tuple(found.ok.shape), (len(found.reasons),)]
    require(shapes == [(len(rows),)] * 3, f"it was asked for {len(rows)} rows and gave {shapes}")
    require(found.values.dtype == torch.float32 and found.ok.dtype == torch.bool, "expected float32 values and bool ok")
    low, high = reward.range
    inside = (found.values >= low) & (found.values <= high)
    require(
        bool(inside[found.ok].all()),
        f"values leave the range {reward.range}: {found.values[found.ok][~inside[found.ok]]}",
    )
    for ok, reason in zip(found.ok.tolist(), found.reasons, strict=True):
        require(ok == (reason is None), f"ok is {ok} and the reason {reason!r}")
        require(
            reason is None or reason.partition(":")[0] in REASONS, f"reason {reason!r} does not start with a known code"
        )


def _same(one: Scores, other: Scores, places: Sequence[int] | None = None) -> bool:
    chosen = torch.arange(len(one.ok)) if places is None else torch.tensor(places)
    ok = one.ok[chosen]
    same = torch.equal(ok, other.ok) and torch.equal(one.values[chosen][ok], other.values[ok])
    return same and [one.reasons[place] for place in chosen.tolist()] == list(other.reasons)


def _repeats(reward: Reward, forest: Forest, rows: Tensor) -> None:
    kept = deepcopy(forest)
    first, second = reward(forest, rows), reward(forest, rows)
    require((found := difference(kept, forest)) is None, f"it changed its input: {found}")
    require(_same(first, second), "the same rows got two scores")


def _by_itself(reward: Reward, forest: Forest, rows: Tensor) -> None:
    together = reward(forest, rows)
    places = list(range(len(rows)))[::-1]
    require(_same(together, reward(forest, rows[places]), places), "the order of the rows changes their scores")
    for place in places[:8]:
        alone = reward(forest, rows[place : place + 1])
        require(_same(together, alone, [place]), f"row {int(rows[place])} by itself gets another score")


# ---- environments ----


def check_environment(environment: Environment, tasks: Sequence[Task], actions: Sequence[Action]) -> tuple[str, ...]:
    """Check that an environment is a function of task, state, action and key, and can be branched from anywhere.

    Args:
        environment: the environment.
        tasks: tasks to start.
        actions: actions to try in every state; each is also played until the trajectory ends, for at most 100 steps.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """

    def checks() -> Iterator[Check]:
        yield Check(name="settings", run=lambda: settings(environment))
        for task in tasks:
            yield Check(name=f"reset of {task.id}", run=lambda task=task: _reset(environment, task))
            for action in actions:
                yield Check(
                    name=f"steps of {task.id}, {str(action.text)[:20]!r}",
                    run=lambda task=task, action=action: _steps(environment, task, action, actions),
                )

    return run_all(environment, list(checks()))


def _reset(environment: Environment, task: Task) -> None:
    kept = deepcopy(task)
    first, second = environment.reset(task, _KEY), environment.reset(task, _KEY)
    require(same(first, second), "the same task and key began two ways")
    require(task == kept, "reset changed the task")


def _steps(environment: Environment, task: Task, action: Action, others: Sequence[Action]) -> None:
    current: Any = environment.reset(task, _KEY).state
    for number in range(100):
        before, key = deepcopy(current), keys.fold(_KEY, "check", number)
        reply = environment.step(current, action, key)
        for other in others:
            environment.step(current, other, key)
        require(same(current, before), f"step {number} changed the state it was taken in")
        again = environment.step(deepcopy(current), action, key)
        require(same(reply, again), f"step {number}, taken twice in one state, went two ways")
        _transition(reply)
        if reply.end != End.OPEN:
            return
        current = reply.state


def _transition(reply: Transition) -> None:
    require(0 <= reply.discount <= 1, f"discount is {reply.discount}, expected a number in [0, 1]")
    closed = reply.end != End.TERMINATED or reply.discount == 0
    require(closed, f"a terminated trajectory has discount {reply.discount}, expected 0")


# ---- policies ----


def check_policy(
    policy: Policy, environment: Environment, tasks: Sequence[Task], *, atol: float = 1e-5, width: int = 3
) -> tuple[str, ...]:
    """Check that a policy's steps depend on their own context and key, and that its log-probabilities are its own.

    Args:
        policy: the policy; a learner's gradient is checked too.
        environment: where it acts.
        tasks: two tasks or more.
        atol: how far a log-probability, in nats, may be from the one computed in another batch.
        width: children per task.

    Returns:
        Names of the checks that were run.

    Raises:
        AssertionError: with one line for each broken promise.
    """
    forest = _played(policy, environment, tasks, width)

    def checks() -> Iterator[Check]:
        yield Check(name="same bytes", run=lambda: _replays(policy, environment, tasks, forest, width))
        yield Check(
            name="independent of the batch", run=lambda: _separate(policy, environment, tasks, forest, width, atol)
        )
        yield Check(name="token columns", run=lambda: _tokens(forest))
        yield Check(name="recorded log-probabilities", run=lambda: _recorded(policy, forest, atol))
        yield Check(name="gradient", run=lambda: _differentiable(policy, forest))

    return run_all(policy, list(checks()))


def _played(policy: Policy, environment: Environment, tasks: Sequence[Task], width: int) -> Forest:
    draws = [Draw(task=task) for task in tasks]
    return grow(draws, policy=policy, environment=environment, sampler=Independent(width=width), key=_KEY)


def _replays(policy: Policy, environment: Environment, tasks: Sequence[Task], forest: Forest, width: int) -> None:
    found = difference(forest, _played(policy, environment, tasks, width))
    require(found is None, f"the same keys gave two rollouts: {found}")


def _separate(
    policy: Policy, environment: Environment, tasks: Sequence[Task], forest: Forest, width: int, atol: float
) -> None:
    for root, task in enumerate(tasks):
        for narrow in (width, 1):
            alone = _played(policy, environment, [task], narrow)
            rows = forest.subtree(root)
            if narrow == 1:
                first = int((forest.parent == root).nonzero()[0])
                rows = torch.cat((torch.tensor([root]), forest.subtree(first)))
            mine = forest.select(rows)
            names = [name for name in mine.names if name not in ("tokens.log_prob", "log_prob", "parent")]
            found = difference(mine, alone, names=names)
            require(found is None, f"task {task.id} by itself, {narrow} wide: {found}")
            for name in ("tokens.log_prob", "log_prob"):
                close = name not in mine or torch.allclose(mine[name], alone[name], rtol=0, atol=atol)
                require(close, f"task {task.id} by itself, {narrow} wide: {name} differs by more than {atol} nats")


def _tokens(forest: Forest) -> None:
    if "tokens.id" not in forest:
        require("log_prob" in forest, "a policy without tokens records one log_prob per step")
        return
    role = forest["tokens.role"]
    chosen = role == int(Role.POLICY)
    require(bool(chosen.any()), "no token has the role POLICY")
    require(
        not bool((forest["tokens.train"] & ~chosen & (role != int(Role.FORCED))).any()), "it trains what it did not say"
    )
    require(bool(forest.valid("tokens.log_prob")[chosen].all()), "a token of its own lacks a log-probability")
    require(bool((forest["tokens.log_prob"][chosen] <= 1e-6).all()), "a log-probability is above 0")


def _recorded(policy: Policy, forest: Forest, atol: float) -> None:
    every = torch.arange(len(forest))
    with torch.no_grad():
        found = policy.log_prob(forest, every)
        backwards = policy.log_prob(forest, every.flip(0))
    size = len(forest) if forest.token_offsets is None else int(forest.token_offsets[-1])
    require(found.shape == (size,), f"log_prob gives {tuple(found.shape)}, expected {size} values")
    require(abs(float(found.sum() - backwards.sum())) <= atol * size, "the order of the rows changes log_prob")
    name = "log_prob" if forest.token_offsets is None else "tokens.log_prob"
    chosen = forest.valid(name) if forest.token_offsets is None else forest["tokens.role"] == int(Role.POLICY)
    require(bool((found[~chosen] == 0).all()), "log_prob is not 0 where the policy chose nothing")
    off = float((found.to(torch.float64) - forest[name].to(torch.float64))[chosen].abs().max())
    require(off <= atol, f"recorded log-probabilities are {off:.2g} nats off, more than {atol}")


def _differentiable(policy: Policy, forest: Forest) -> None:
    if not hasattr(policy, "trainable"):
        return
    weights = list(cast("Any", policy).trainable().values())
    total = policy.log_prob(forest, torch.arange(len(forest))).sum()
    slopes = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    require(all(bool(slope.isfinite().all()) for slope in slopes), "the gradient of log_prob is not finite")
    require(any(bool((slope != 0).any()) for slope in slopes), "the gradient of log_prob is zero everywhere")
