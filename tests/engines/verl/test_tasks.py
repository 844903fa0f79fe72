"""What a task choice hands out to verl. See test_tasks_in_verl.py too."""

from __future__ import annotations

import json

import pytest
import torch

from milepost.engines.trl.samples import TASK
from milepost.engines.verl.replay import Line, scored_forest
from milepost.engines.verl.tasks import Chooser, chooser_for, is_training, tasks_of
from milepost.errors import FormatError, SettingError, UnknownName
from milepost.recipes import bleuberi, vas

ROWS = [{"extra_info": {"index": number}, "data_source": "sums"} for number in range(6)]


def answers(chooser, positions, scoring=False):
    """Lines of two answers each; odd tasks have one right answer of two, even ones none."""
    return [
        Line(uid=str(n), position=p, scoring=scoring, prompt=[1], response=[2, k], mask=[1, 1], score=float(p % 2 * k))
        for n, p in enumerate(positions)
        for k in (0, 1)
    ]


def learn(chooser, positions, scoring=False):
    chooser.learn(scored_forest(answers(chooser, positions, scoring), chooser.pool), scoring=scoring)


def test_tasks_of_rows():
    (task,) = tasks_of([{"extra_info": {TASK: json.dumps({"id": "a", "record": {"prompt": "1 + 1?"}, "family": "x"})}}])
    assert (task.id, task.record, task.family) == ("a", {"prompt": "1 + 1?"}, "x")
    assert [(task.id, task.family) for task in tasks_of(ROWS[:2])] == [
        ("row:00000000", "sums"),
        ("row:00000001", "sums"),
    ]
    assert tasks_of([{"extra_info": None}])[0].family == ""


def test_draws_follow_the_rewards():
    chooser = chooser_for(
        ROWS, {"milepost": {"recipe": "vas", "settings": {"refresh_every": 0, "weighted_share": 1.0}}}
    )
    learn(chooser, range(6))
    drawn = [position for _ in range(40) for position in chooser.next(5).positions]
    assert sum(position % 2 for position in drawn) > 150
    assert chooser.next(3).scoring is None


def test_tasks_to_score_come_first_and_once():
    chooser = Chooser.of(vas.build(refresh_every=2, width=2).choice, tasks_of(ROWS), seed=1)
    first, second = chooser.next(4), chooser.next(4)
    assert first.positions + second.positions == [0, 1, 2, 3, 4, 5, 4, 5]  # the last batch is filled
    assert first.scoring is not None
    assert (first.scoring.width, first.scoring.greedy) == (2, False)
    assert set(chooser.next(2).positions) <= set(range(6))  # nothing was answered yet: they are asked again
    learn(chooser, [*first.positions, *second.positions], scoring=True)
    assert chooser.asked == set()
    assert chooser.next(2).scoring is None


def test_one_greedy_answer_picks():
    chooser = Chooser.of(bleuberi.build(count=2).choice, tasks_of(ROWS), seed=1)
    handed = chooser.next(6)
    assert (handed.scoring.width, handed.scoring.greedy) == (1, True)
    lines = [Line(uid=str(p), position=p, scoring=True, prompt=[], response=[1], mask=[1], score=p) for p in range(6)]
    chooser.learn(scored_forest(lines, chooser.pool), scoring=True)
    assert set(chooser.next(8).positions) == {0, 1}


def test_a_checkpoint_goes_on():
    settings = {"milepost": {"recipe": "vas", "settings": {"refresh_every": 0}, "seed": 3}}
    chooser, other = chooser_for(ROWS, settings), chooser_for(ROWS, settings)
    learn(chooser, chooser.next(6).positions)
    held = chooser.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in held["tensors"].values())
    other.load_state_dict(held)
    assert [other.next(4).positions for _ in range(5)] == [chooser.next(4).positions for _ in range(5)]
    with pytest.raises(FormatError):
        chooser_for(ROWS, {"milepost": {"recipe": "grpo"}}).load_state_dict(held)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, r"\+data.milepost.recipe"),
        ({"milepost": {"recipe": "vas"}, "dataloader_num_workers": 8}, "set it to 0"),
        ({"milepost": {"recipe": "signals"}}, "built a"),
    ],
)
def test_configurations_that_cannot_work(config, why):
    with pytest.raises(SettingError, match=why):
        chooser_for(ROWS, config)


def test_a_misspelt_setting_is_told_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"setting of recipe 'vas' 'widht'\. Did you mean 'width'\? Known: .*width"):
        chooser_for(ROWS, {"milepost": {"recipe": "vas", "settings": {"widht": 8}}})


def test_which_files_are_trained_on():
    config = {"train_files": "a.parquet", "val_files": ["b.parquet"]}
    assert is_training(["a.parquet"], config)
    assert not is_training("b.parquet", config)
    with pytest.raises(SettingError, match="another name"):
        is_training("a.parquet", {"train_files": "a.parquet", "val_files": ["a.parquet"]})
