"""Small scored worlds: a forest with one root per record and one leaf per completion."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from milepost.columns import Role
from milepost.forest import Forest
from milepost.part import Scores
from milepost.ragged import Ragged


def build(*tasks: tuple[dict[str, Any], list[str]], tokens: bool = False) -> Forest:
    """Grow (record, completions) pairs; with tokens, every character is one."""
    parent, text, record, task = [], [], [], []
    for number, (given, completions) in enumerate(tasks):
        root = len(parent)
        parent.append(-1)
        text.append(given.get("prompt", "?"))
        record.append(json.dumps(given))
        task.append(f"task:{number}")
        for completion in completions:
            parent.append(root)
            text.append(completion)
            record.append(None)
            task.append(f"task:{number}")
    forest = Forest.of(parent, {"text": text, "record": record, "task": task})
    if not tokens:
        return forest
    ids = [[ord(letter) for letter in written] for written in text]
    roles = [
        [int(Role.PROMPT) if above < 0 else int(Role.POLICY)] * len(own) for above, own in zip(parent, ids, strict=True)
    ]
    return forest.with_columns(
        {
            "tokens.id": Ragged.of(ids, torch.int32),
            "tokens.role": Ragged.of(roles, torch.int8),
            "policy_version": [3] * len(parent),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A reward given as a function of (forest, rows)."""

    act: Callable[[Forest, torch.Tensor], Any]
    name: str = "rule"
    when: str = "leaf"
    side: str = "after"
    range: tuple[float, float] = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: torch.Tensor) -> Scores:
        return self.act(forest, rows)


@pytest.fixture
def grow():
    """The function that builds a forest."""
    return build


@pytest.fixture
def rule():
    """The class that turns a function into a reward."""
    return Rule


@pytest.fixture
def fine():
    """Scores from values, all ok."""

    def make(values) -> Scores:
        values = torch.as_tensor(values, dtype=torch.float32)
        return Scores(values=values, ok=torch.ones(len(values), dtype=torch.bool), reasons=[None] * len(values))

    return make
