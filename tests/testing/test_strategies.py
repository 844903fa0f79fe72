"""Checks of samplers and task choices pass what is right and name what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from milepost.part import Drawn, Extension
from milepost.sampling.choice import Uniform
from milepost.sampling.hardest import Hardest, Picked
from milepost.sampling.independent import Independent
from milepost.testing.strategies import check_choice, check_sampler


@pytest.mark.parametrize("choice", [Uniform(), Picked(pick=Hardest(count=4))], ids=lambda one: type(one).__name__)
def test_right_choices_pass(choice):
    check_choice(choice)


def test_a_right_sampler_passes():
    check_sampler(Independent(width=2), turns=(1, 2, 4))


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Independent, made wrong in one place."""

    spoil: str
    seen: list[int] = field(default_factory=list)

    def init(self, forest, key):
        return {"rounds": 0, "odd": {1}} if self.spoil == "keeps a set" else {"rounds": 0}

    def ask(self, forest, state):
        if self.spoil == "hidden":
            self.seen.append(1)
        if self.spoil == "in place":
            state["rounds"] += 1
        rows = forest.open_rows() if state["rounds"] else forest.roots()
        if self.spoil == "endless":
            rows = forest.roots()
        width = 3 if not state["rounds"] else 1
        if self.spoil == "hidden":
            width += len(self.seen)
        return Extension(rows=rows, counts=torch.full_like(rows, width)) if len(rows) else None

    def tell(self, forest, rows, state):
        return {"rounds": state["rounds"] + 1}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("in place", "ask changed the state"),
        ("hidden", "more than what it shows"),
        ("keeps a set", "must not hold"),
        ("endless", "not done after"),
    ],
)
def test_each_broken_promise_of_a_sampler_is_named(spoil, says, monkeypatch):
    monkeypatch.setattr("milepost.testing.strategies._MOST_ROWS", 300)
    monkeypatch.setattr("milepost.testing.strategies._grown", grown_at_most(600))
    with pytest.raises(AssertionError, match=says):
        check_sampler(Sampler(spoil=spoil))


def grown_at_most(rows: int):
    """The check's own growth, but an endless sampler that is not watched stops too."""
    from milepost.testing import strategies

    real = strategies._grown

    def grown(sampler, turns, roots):
        if not isinstance(sampler, strategies._Watched) and sampler.spoil == "endless":
            sampler = strategies._Watched(sampler)
        return real(sampler, turns, roots)

    return grown


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Cycles through the pool; made wrong in one place."""

    spoil: str = ""
    calls: list[int] = field(default_factory=list)

    def init(self, pool, key):
        ids = sorted(range(len(pool)), key=lambda place: pool[place].id)
        return {"order": tuple(range(len(pool)) if self.spoil == "places" else ids), "at": 0}

    def refresh(self, state):
        return torch.tensor([99]) if self.spoil == "refresh" else None

    def update(self, state, forest, *, scoring):
        if self.spoil == "update in place":
            state["at"] += 1
        return dict(state)

    def draw(self, state: dict[str, Any], count: int) -> Drawn:
        order = state["order"]
        if self.spoil == "hidden":
            self.calls.append(1)
        shift = len(self.calls)
        tasks = torch.tensor([order[(state["at"] + shift + n) % len(order)] for n in range(count)], dtype=torch.int64)
        if self.spoil == "outside":
            tasks = tasks + 1
        if self.spoil == "fewer":
            tasks = tasks[:3]
        return Drawn(tasks=tasks, state={**state, "at": state["at"] + count})


def test_a_right_choice_of_plain_states_passes():
    check_choice(Choice())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("places", "another order gives"),
        ("refresh", "refresh asks for"),
        ("update in place", "changed the state"),
        ("hidden", "two draws|other tasks"),
        ("outside", "from a pool of"),
        ("fewer", "20 positions"),
    ],
)
def test_each_broken_promise_of_a_choice_is_named(spoil, says):
    with pytest.raises(AssertionError, match=says):
        check_choice(Choice(spoil=spoil))
