"""Rows of verl's queue as what a task choice learns from. See test_tasks_in_verl.py too."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from milepost.columns import Role
from milepost.engines.verl.replay import TOTAL, Line, Telling, lines_in, replay_buffer, scored_forest
from milepost.engines.verl.tasks import POSITION, SCORING, Chooser, tasks_of
from milepost.errors import SettingError
from milepost.recipes import vas
from milepost.sampling.tracker import scored_groups

POOL = tasks_of([{}] * 5)


def line(uid, position, score, *, scoring=False, response=(7, 8), mask=(1, 0)):
    return Line(uid=uid, position=position, scoring=scoring, prompt=[5, 6], response=response, mask=mask, score=score)


def test_groups_by_hand():
    lines = [line("a", 3, 1.0), line("b", 0, math.nan), line("a", 3, 0.0), line("c", 3, 0.5)]
    forest = scored_forest(lines, POOL, asked=[0, 4])
    assert forest.parent.tolist() == [-1, 0, 0, -1, 3, -1, 5, -1]
    assert forest.text("task")[::1] == [POOL[3].id, None, None, POOL[0].id, None, POOL[3].id, None, POOL[4].id]
    assert forest["draw"][forest.roots()].tolist() == [0, 0, 1, 0]
    found = scored_groups(forest, "total")
    assert found.group.tolist() == [0, 0, 1, 2]
    assert found.ok.tolist() == [True, True, False, True]
    assert found.score[found.ok].tolist() == [1.0, 0.0, 0.5]
    assert forest.ragged("tokens.role")[1].tolist() == [int(Role.POLICY), int(Role.OBSERVATION)]
    assert len(forest.ragged("tokens.id")[7]) == 0


def fields(rows):
    """As verl's queue hands them over: tensors, and objects that hold data."""
    held = {POSITION: [], SCORING: [], "extra_fields": []}
    tensors = {"prompts": [], "responses": [], "response_mask": [], "rm_scores": []}
    for position, scores, extra in rows:
        held[POSITION].append(SimpleNamespace(data=position))
        held[SCORING].append(SimpleNamespace(data=False))
        held["extra_fields"].append(SimpleNamespace(data=extra))
        tensors["prompts"].append(torch.tensor([1]))
        tensors["responses"].append(torch.arange(len(scores)))
        tensors["response_mask"].append(torch.ones(len(scores), dtype=torch.int64))
        tensors["rm_scores"].append(torch.tensor(scores))
    return {**held, **tensors}


def test_of_a_session_the_last_output_counts_and_of_a_tree_every_leaf():
    keys = ["a_0_0", "a_0_1", "a_1_0", "b_0_0", "b_0_1"]
    rows = [
        (1, [0.0, 9.0], {}),
        (1, [0.25, 0.5], {}),
        (1, [1.0], {}),
        (2, [9.0], {TOTAL: 0.5}),
        (2, [9.0], {TOTAL: math.nan}),
    ]
    found = lines_in(keys, fields(rows))
    assert [(one.uid, one.position) for one in found] == [("a", 1), ("a", 1), ("b", 2), ("b", 2)]
    assert [one.score for one in found[:3]] == [0.75, 1.0, 0.5]
    assert math.isnan(found[3].score)


def test_what_is_told():
    chooser = Chooser.of(vas.build().choice, POOL, seed=0)
    buffer = SimpleNamespace(trainer_mode="separate_async", filter_groups_metric=None, poll_interval=7.0)
    telling = Telling(buffer=buffer, trainer=SimpleNamespace(train_dataset=object()), queue=None)
    assert telling.poll_interval == 7.0
    with pytest.raises(SettingError, match="name=ChosenTasks"):
        telling.sample(1, "train", 2)
    with pytest.raises(SettingError, match="refresh_every"):
        telling._check(chooser, [line("a", 0, 1.0, scoring=True)])
    buffer.trainer_mode = "sync"
    telling._check(chooser, [line("a", 0, 1.0, scoring=True)])
    with pytest.raises(SettingError, match="whole batches"):
        telling._check(chooser, [line("a", 0, 1.0, scoring=True), line("b", 1, 1.0)])
    buffer.filter_groups_metric = "reward"
    with pytest.raises(SettingError, match="filter_groups"):
        telling._check(chooser, [line("a", 0, 1.0, scoring=True)])


def test_rewards_that_come_too_late():
    class Trainer:
        config = SimpleNamespace(
            reward=SimpleNamespace(reward_model=SimpleNamespace(enable=True, enable_resource_pool=False))
        )

        def refill(self, count):
            pass

    with pytest.raises(SettingError, match="enable_resource_pool"):
        replay_buffer(refill_fn=Trainer().refill, trainer_mode="sync")
