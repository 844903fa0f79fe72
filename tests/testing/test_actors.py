"""Checks of rewards, environments and policies pass what is right and name what is wrong."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.part import Action, Observation, Scores, Start, Transition
from milepost.ragged import Ragged
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing import check_environment, check_policy, check_reward
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task

KEY = keys.root(3)
TASKS = [letter_task(name, prompt=name, payoff={"a": 1.0, "b": 0.5, "c": None}) for name in "abc"]


def rollout():
    policy = TabularPolicy.random("abc", key=KEY)
    draws = [Draw(task=task) for task in TASKS]
    return grow(draws, policy=policy, environment=Letters(), sampler=Independent(width=6), key=KEY)


def test_right_actors_pass():
    assert check_reward(Payoff(), rollout())
    assert check_environment(Letters(turns=3, shows="."), TASKS, [Action(text="a"), Action(text="bb")])
    assert check_policy(TabularPolicy.random("abc.", key=KEY, length=3, stop="c"), Letters(turns=2, shows="."), TASKS)


@dataclass(frozen=True, kw_only=True)
class Reward(Payoff):  # a test may inherit what the library must not
    spoil: str = ""
    calls: list[int] = field(default_factory=list)

    @property
    def range(self):
        return (0.0, 0.6 if self.spoil == "range" else 1.0)

    def __call__(self, forest, rows):
        found = super().__call__(forest, rows)
        values, reasons, ok = found.values, list(found.reasons), found.ok
        if self.spoil == "memory":
            self.calls.append(1)
            values = values / len(self.calls)
        if self.spoil == "batch":
            values = values - values.nan_to_num(0).mean() * 0.01 + 0.01
        if self.spoil == "reasons":
            reasons = [None] * len(reasons)
        if self.spoil == "codes":
            reasons = [reason and "oops" for reason in reasons]
        if self.spoil == "length":
            values = values[:1]
        if self.spoil == "input":
            forest["discount"].add_(1)
        return Scores(values=values, ok=ok, reasons=reasons)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("range", "leave the range"),
        ("memory", "two scores|another score"),
        ("batch", "by itself gets another score"),
        ("reasons", "the reason None"),
        ("codes", "known code"),
        ("length", "was asked for"),
        ("input", "changed its input"),
    ],
)
def test_each_broken_promise_of_a_reward_is_named(spoil, says):
    with pytest.raises(AssertionError, match=says):
        check_reward(Reward(spoil=spoil), rollout())


@dataclass(frozen=True, kw_only=True)
class World:
    """Counts letters; made wrong in one place."""

    spoil: str = ""
    steps: list[int] = field(default_factory=list)

    def reset(self, task, key):
        if self.spoil == "reset":
            self.steps.append(1)
        return Start(observation=Observation(text="a" * (1 + len(self.steps))), state={"said": ""})

    def step(self, state: Any, action, key):
        if self.spoil == "in place":
            state["said"] += action.text
        if self.spoil == "memory":
            self.steps.append(1)
        said = state["said"] + (action.text or "") + "." * len(self.steps)
        done = len(said) > 3
        discount = {"discount": 1.0, "large": 1.5}.get(self.spoil, 0.0 if done else 1.0)
        end = End.TERMINATED if done else End.OPEN
        return Transition(observation=None, state={"said": said}, end=end, discount=discount)


def test_a_right_world_passes():
    check_environment(World(), TASKS, [Action(text="ab")])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("reset", "began two ways"),
        ("in place", "changed the state"),
        ("memory", "went two ways"),
        ("discount", "expected 0"),
        ("large", r"in \[0, 1\]"),
    ],
)
def test_each_broken_promise_of_an_environment_is_named(spoil, says):
    with pytest.raises(AssertionError, match=says):
        check_environment(World(spoil=spoil), TASKS, [Action(text="a"), Action(text="bb")])


@dataclass(kw_only=True, eq=False)
class Policy(TabularPolicy):
    spoil: str = ""
    calls: int = 0

    def propose(self, forest, rows, drawn):
        self.calls += 1
        if self.spoil == "memory":
            drawn = drawn + self.calls
        if self.spoil == "batch":
            drawn = drawn + len(rows)
        if self.spoil == "shared stream":
            drawn = drawn[:1] + torch.arange(len(drawn))
        found = super().propose(forest, rows, drawn)
        columns = dict(found.columns)
        if self.spoil == "record":
            columns["tokens.log_prob"] = Ragged(
                columns["tokens.log_prob"].values - 0.1, columns["tokens.log_prob"].offsets
            )
        if self.spoil == "positive":
            columns["tokens.log_prob"] = Ragged(
                columns["tokens.log_prob"].values + 9, columns["tokens.log_prob"].offsets
            )
        return dataclasses.replace(found, columns=columns)

    def encode(self, observations, *, start):
        columns = dict(super().encode(observations, start=start))
        if self.spoil == "trains prompts":
            columns["tokens.train"] = Ragged(
                torch.ones_like(columns["tokens.train"].values), columns["tokens.train"].offsets
            )
        return columns

    def log_prob(self, forest, rows):
        found = super().log_prob(forest, rows)
        if self.spoil == "prompt":
            return found - 1
        if self.spoil == "no gradient":
            return found.detach() + 0 * self.table.sum()
        return found[:-1] if self.spoil == "length" else found


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("memory", "two rollouts"),
        ("batch", "by itself"),
        ("shared stream", "by itself"),
        ("record", "nats off"),
        ("positive", "above 0"),
        ("trains prompts", "did not say"),
        ("prompt", "chose nothing"),
        ("no gradient", "zero everywhere"),
        ("length", "expected .* values"),
    ],
)
def test_each_broken_promise_of_a_policy_is_named(spoil, says):
    right = TabularPolicy.random("abc", key=KEY, length=2)
    policy = Policy(vocabulary="abc", table=right.table, length=2, spoil=spoil)
    with pytest.raises(AssertionError, match=says):
        check_policy(policy, Letters(), TASKS)
