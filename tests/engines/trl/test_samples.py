"""Batches of TRL as forests."""

from __future__ import annotations

import json

import pytest
import torch

from milepost.columns import End, Role
from milepost.credit.group import Centred
from milepost.credit.tokens import token_credit
from milepost.engines.trl.samples import Group, Sample, forest_of, pool_of, record_of, scored, text_of
from milepost.errors import ShapeError


def sample(ids=(5, 6), **named):
    given = {"prompt": "?", "texts": ("!",), "record": {"prompt": "?", "answer": "!"}, "prompt_ids": (1, 2)}
    return Sample(**{**given, "ids": ids, "train": (True,) * len(ids), **named})


def test_a_group_is_a_tree_and_a_completion_a_chain():
    two_turns = sample(
        (5, 6, 7, 8),
        texts=("a", "b"),
        lengths=(3, 1),
        train=(True, False, False, True),
        log_prob=(-1.0, 0.0, 0.0, -2.0),
    )
    groups = [
        Group(task="one", draw=3, samples=[two_turns, sample(truncated=True, log_prob=(-1.0, -1.0))]),
        Group(task="two", draw=0, samples=[sample((9,), log_prob=(-3.0,))]),
    ]
    forest = forest_of(groups, version=7)
    assert forest.parent.tolist() == [-1, 0, 1, 0, -1, 4]
    assert forest.leaves().tolist() == [2, 3, 5]
    assert forest.text("task") == ["one", None, None, None, "two", None]
    assert forest["draw"][forest.roots()].tolist() == [3, 0]
    assert json.loads(forest.text("record")[0]) == {"answer": "!", "prompt": "?"}
    ids = forest.ragged("tokens.id")
    assert [ids[row].tolist() for row in range(6)] == [[1, 2], [5, 6, 7], [8], [5, 6], [1, 2], [9]]
    assert forest.ragged("tokens.role")[1].tolist() == [Role.POLICY, Role.OBSERVATION, Role.OBSERVATION]
    assert forest.ragged("tokens.log_prob")[2].tolist() == [-2.0]
    ends = [End.OPEN, End.OPEN, End.TERMINATED, End.TOKEN_LIMIT, End.OPEN, End.TERMINATED]
    assert forest["end"].tolist() == ends
    assert forest["discount"].tolist() == [1, 1, 0, 1, 1, 0]
    assert set(forest["policy_version"].tolist()) == {7}
    assert len(set(forest["key"].tolist())) == 6


def test_tokens_that_nobody_knows():
    assert "tokens.log_prob" not in forest_of([Group(task="a", draw=0, samples=[sample()])])
    bare = sample((), prompt_ids=())
    assert forest_of([Group(task="a", draw=0, samples=[bare])]).token_offsets is None
    assert len(forest_of([])) == 0


def test_steps_must_add_up():
    with pytest.raises(ShapeError, match="add up"):
        forest_of([Group(task="a", draw=0, samples=[sample(lengths=(1,))])])
    with pytest.raises(ShapeError, match="add up"):
        forest_of([Group(task="a", draw=0, samples=[sample(lengths=(1, 1))])])


def test_none_does_not_apply_and_a_reason_is_a_failure():
    samples = [sample(), sample(), sample(reasons={"mine": "reward_timeout"})]
    groups = [Group(task="a", draw=0, samples=samples)]
    forest = scored(forest_of(groups), groups, {"mine": [1.0, None, None], "theirs": [1.0, 0.5, 0.5]}, [1.0, 2.0])
    leaves = forest.leaves()
    assert forest["reward.total"][leaves].tolist()[:2] == [3.0, 1.0]
    assert forest["ok.total"][leaves].tolist() == [True, True, False]
    assert forest.text("reason.total")[int(leaves[2])] == "reward_timeout: mine"


def test_credit_of_unequal_groups_by_hand():
    groups = [
        Group(task="a", draw=0, samples=[sample(), sample((5,))]),
        Group(task="b", draw=0, samples=[sample(), sample(), sample((5, 6, 7))]),
    ]
    forest = scored(forest_of(groups), groups, {"r": [1.0, 0.0, 3.0, 0.0, 0.0]}, [1.0])
    credit = token_credit(Centred()(forest))
    steps = [credit[forest.token_row == row].tolist() for row in forest.leaves().tolist()]
    assert steps == [[0.5, 0.5], [-0.5], [2.0, 2.0], [-1.0, -1.0], [-1.0, -1.0, -1.0]]
    assert credit[forest["tokens.role"] == int(Role.PROMPT)].abs().sum() == 0


def test_texts_of_both_forms():
    assert text_of("hello") == "hello"
    assert text_of([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]) == "u"
    assert text_of([{"role": "user", "content": [{"type": "text", "text": "t"}]}]) == '[{"type": "text", "text": "t"}]'


def test_records_hold_what_json_can():
    row = {"prompt": [{"role": "user", "content": "u"}], "answer": 3, "image": torch.zeros(1), "completion": "c"}
    assert record_of(row) == {"prompt": "u", "answer": 3}


def test_pools():
    rows = [{"prompt": "a", "id": "x", "family": "f"}, {"prompt": "b", "id": "y"}]
    assert [(task.id, task.family) for task in pool_of(rows)] == [("x", "f"), ("y", "")]
    assert [task.id for task in pool_of([{"prompt": "a"}, {"prompt": "b"}])] == ["row:00000000", "row:00000001"]
    assert [task.id for task in pool_of([rows[0], rows[0]])] == ["row:00000000", "row:00000001"]
