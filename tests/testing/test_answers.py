"""Flat forests of scored answers."""

from __future__ import annotations

from milepost.credit.group import Centred
from milepost.testing.answers import answers_credit, scored, solved


def test_layout():
    forest = scored([[1.0, None], [0.5]], families=("a", "b"), other=[[0.0, 2.0], [None]])
    assert forest.parent.tolist() == [-1, -1, 0, 0, 1]
    assert forest["ok.total"].tolist() == [False, False, True, False, True]
    assert forest["reward.other"][forest["ok.other"]].tolist() == [0.0, 2.0]
    assert forest.text("reason.total") == [None, None, None, "reward_error", None]
    assert forest.text("label.family") == ["a", "b", None, None, None]


def test_accuracy_is_the_total():
    forest = solved([[1.0, 0.0]])
    assert forest["reward.solved"].tolist() == forest["reward.total"].tolist()
    assert answers_credit(Centred()(forest)) == [0.5, -0.5]
