"""Small worlds for samplers that branch: letters that pay, policies that can be enumerated, rewards of single steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor

from milepost import keys
from milepost.forest import Forest
from milepost.part import Action, Scores, Start, Task, Transition
from milepost.rewards.combine import Scored
from milepost.sampling.frontier import Draw, grow
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, letter_task

KEY = keys.root(11)
WORTH = {"a": 0.0, "b": 0.5, "c": 1.0}


@dataclass(frozen=True, kw_only=True)
class Worth:
    """Reward of a step: what its letters are worth on average; a step with a forbidden letter has none."""

    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "before"
    name: str = "worth"
    range: tuple[float, float] = (0.0, 1.0)
    forbidden: str = ""

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        texts = forest.text("text")
        said = [texts[row] or "" for row in rows.tolist()]
        ok = torch.tensor([not set(text) & set(self.forbidden) for text in said], dtype=torch.bool)
        value = torch.tensor([sum(WORTH.get(one, 0.0) for one in text) / max(len(text), 1) for text in said])
        reasons = [None if fine else "reward_error: forbidden" for fine in ok.tolist()]
        return Scores(values=value.float(), ok=ok, reasons=reasons)


@dataclass(frozen=True)
class Counted:
    """An environment that counts how often it was asked to step."""

    of: Letters
    steps: list[str]

    def reset(self, task: Task, key: int) -> Start:
        return self.of.reset(task, key)

    def step(self, state: object, action: Action, key: int) -> Transition:
        self.steps.append(action.text or "")
        return self.of.step(state, action, key)  # pyright: ignore[reportArgumentType]


def scorer(*rewards: object) -> Scored:
    """Scores by the given rewards, each with weight 1."""
    return Scored(rewards=rewards, weights=(1.0,) * len(rewards))  # pyright: ignore[reportArgumentType]


def policy(length: int = 1, letters: str = "abc") -> TabularPolicy:
    """A random policy over letters."""
    return TabularPolicy.random(letters, key=KEY, length=length)


def draws(count: int, payoff: dict[str, float | None] | None = None) -> list[Draw]:
    """Tasks that pay for the same answers."""
    return [Draw(task=letter_task(f"t{n}", prompt="abc"[n % 3], payoff=payoff or {})) for n in range(count)]


@pytest.fixture
def rollout() -> Callable[..., Forest]:
    """Grow trees in the world of letters."""

    def run(sampler, count=3, turns=3, payoff=None, key=KEY, workers=1, world=None, acts=None):
        return grow(
            draws(count, payoff),
            policy=acts or policy(),
            environment=world or Letters(turns=turns),
            sampler=sampler,
            key=key,
            workers=workers,
        )

    return run


@pytest.fixture
def pays() -> Scored:
    """Scores finished trajectories by what their task pays."""
    return scorer(Payoff())


@pytest.fixture
def worth() -> Scored:
    """Scores single steps."""
    return scorer(Worth())


def said(forest: Forest) -> dict[str, list[str]]:
    """Texts of every path by task, step by step; for comparing forests whose rows stand elsewhere."""
    texts, names = forest.text("text"), forest.text("task")
    found: dict[str, list[str]] = {}
    for leaf in forest.leaves().tolist():
        path = forest.path(leaf).tolist()
        found.setdefault(str(names[path[0]]), []).append("/".join(texts[row] or "" for row in path[1:]))
    return {name: sorted(paths) for name, paths in found.items()}
