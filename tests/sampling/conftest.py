"""Scored forests written by hand: what task choice learns from."""

import math

import pytest
import torch

from milepost.columns import Role
from milepost.forest import Forest
from milepost.part import Task
from milepost.ragged import Ragged


def build(groups, reward="total", answers=None):
    """One root per (task, draw, scores), one leaf per score (None: failed); `answers` are the leaves' tokens."""
    leaves = [(root, score) for root, (_, _, scores) in enumerate(groups) for score in scores]
    size = len(groups)
    scores = [None] * size + [score for _, score in leaves]
    columns = {
        "task": [task for task, _, _ in groups] + [None] * len(leaves),
        "draw": [draw for _, draw, _ in groups] + [0] * len(leaves),
        f"reward.{reward}": torch.tensor([math.nan if score is None else score for score in scores]),
        f"ok.{reward}": [score is not None for score in scores],
    }
    if answers is not None:
        prompt = [int(Role.PROMPT)] * 2
        roles = [prompt] * size + [[int(Role.POLICY)] * len(answer) for answer in answers]
        columns["tokens.id"] = Ragged.of([[7, 7]] * size + [list(answer) for answer in answers], torch.int32)
        columns["tokens.role"] = Ragged.of(roles, torch.int8)
    return Forest.of([-1] * size + [root for root, _ in leaves], columns)


@pytest.fixture
def scored():
    """The builder of scored forests."""
    return build


@pytest.fixture
def pool():
    """A builder of pools: tasks with the given ids, families before the colon."""
    return lambda ids: [Task(id=name, record={}, family=name.partition(":")[0]) for name in ids]
