"""Data sets for TRL's other trainers, by hand."""

import pytest
import torch

from milepost.bridges.trl_sets import demonstrations, labelled, messages, pairs, share_of_good, step_labels
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.ragged import Ragged


def forest():
    """A question; below it two searches, one of which goes on to two answers."""
    return Forest.of([-1, 0, 0, 1, 1], {
        "text": ["Who?", "look up a", "look up b", "Ada", "Bob"],
        "result": [None, "Ada wrote it", None, None, None],
        "reward.total": [None, 0.5, 0.25, 1.0, 0.0],
        "ok.total": [False, True, True, True, True],
        "tokens.id": Ragged.of([[1], [2, 3, 9], [4], [5, 6], [7]], torch.int32),
        "tokens.train": Ragged.of([[False], [True, True, False], [True], [True, True], [True]], torch.bool),
    })  # fmt: skip


def user(text):
    return {"role": "user", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


def test_messages():
    assert messages(forest(), 3) == [user("Who?"), said("look up a"), user("Ada wrote it"), said("Ada")]
    asked = forest().with_columns({"record": ['{"prompt": "Who?"}', *[None] * 4], "text": [None, "a", "b", "c", "d"]})
    assert messages(asked, 1) == [user("Who?"), said("a"), user("Ada wrote it")]
    with pytest.raises(ColumnError, match="text"):
        messages(Forest.of([-1]), 0)


def test_demonstrations():
    (row,) = demonstrations(forest(), least=1.0)
    assert row == {"prompt": [user("Who?")], "completion": [said("look up a"), user("Ada wrote it"), said("Ada")]}


def test_pairs_are_siblings():
    first, second = pairs(forest())
    assert (first["chosen"], first["rejected"], first["margin"]) == ([said("look up a")], [said("look up b")], 0.25)
    assert first["prompt"] == [user("Who?")]
    assert (second["chosen"], second["rejected"], second["margin"]) == ([said("Ada")], [said("Bob")], 1.0)
    assert second["prompt"][-1] == user("Ada wrote it")
    assert len(pairs(forest(), margin=0.5)) == 1
    failed = forest().with_columns({"ok.total": [False, True, True, True, False]})
    assert len(pairs(failed)) == 1


def test_labels():
    rows = labelled(forest(), least=0.5)
    assert [row["label"] for row in rows] == [True, False, True, False]
    assert [row["completion"][0]["content"] for row in rows] == ["look up a", "look up b", "Ada", "Bob"]


def test_step_ends():
    rows = step_labels(forest(), least=0.5)
    assert rows == [
        {"input_ids": [1, 4], "labels": [-100, 0]},
        {"input_ids": [1, 2, 3, 9, 5, 6], "labels": [-100, -100, 1, -100, -100, 1]},
        {"input_ids": [1, 2, 3, 9, 7], "labels": [-100, -100, -100, -100, 0]},
    ]
    assert share_of_good(rows) == 0.5
    assert share_of_good([]) == 0.0
