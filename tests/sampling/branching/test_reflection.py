"""Reflections: read strictly, written as they were said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import ChatReply
from milepost.sampling.branching.reflection import Asked, ByReward, Reflection, read_reflection
from milepost.sampling.independent import Independent

GOOD = {
    "summary": "s", "root_cause": "r", "outcome": "failure", "suggestion": "look again", "retry_from_step": 1,
}  # fmt: skip


def test_a_whole_reflection_is_read():
    found = read_reflection(json.dumps(GOOD), 3)
    assert found == Reflection(
        outcome="failure", suggestion="look again", retry_from_step=1, summary="s", root_cause="r"
    )
    assert found.wants_retry


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "maybe"}, {"suggestion": " "}, {"suggestion": 3}, {"retry_from_step": 3}, {"retry_from_step": -1},
        {"retry_from_step": 1.0}, {"retry_from_step": True}, {"retry_from_step": "1"}, {"summary": None},
    ],
)  # fmt: skip
def test_what_is_not_valid_is_no_reflection(change):
    assert read_reflection(json.dumps({**GOOD, **change}), 3) is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "```json\n{}\n```", json.dumps({"outcome": "success"})])
def test_other_texts_are_no_reflection(text):
    assert read_reflection(text, 3) is None


def test_success_needs_no_advice():
    said = {**GOOD, "outcome": "success", "suggestion": "", "retry_from_step": None}
    found = read_reflection(json.dumps(said), 3)
    assert found is not None
    assert not found.wants_retry
    inefficient = read_reflection(json.dumps({**GOOD, "outcome": "success_but_inefficient"}), 3)
    assert inefficient is not None
    assert inefficient.wants_retry


def test_by_reward_goes_back_to_the_first_repeated_or_empty_step(pays):
    calls = [None, "x", "y", "x", "z"]
    forest = Forest.of(
        [-1, 0, 1, 2, 3],
        {
            "call": calls,
            "result": [None, "1", "2", "1", "3"],
            "reward.total": torch.zeros(5),
            "ok.total": [True] * 5,
        },
    )
    leaf = torch.tensor([4])
    look = ByReward(scorer=lambda forest, rows: forest)
    assert read_reflection(look(forest, leaf).text("reflection")[4], 4).retry_from_step == 2
    for useless in ("", "nothing found", "malformed action: no tag"):
        empty = forest.with_columns({"result": [None, "1", useless, "1", "3"]})
        assert read_reflection(look(empty, leaf).text("reflection")[4], 4).retry_from_step == 1
    plain = forest.without("call", "result")
    assert read_reflection(look(plain, leaf).text("reflection")[4], 4).retry_from_step == 3
    won = forest.with_columns({"reward.total": torch.ones(5)})
    assert read_reflection(look(won, leaf).text("reflection")[4], 4).outcome == "success"
    failed = forest.with_columns({"ok.total": [False] * 5})
    assert look(failed, leaf).text("reflection")[4] is None


@dataclass
class Scripted:
    """A chat that says what it is told, and keeps what it was asked."""

    says: list[ChatReply]
    asked: list[str] = field(default_factory=list)
    model: str = "scripted"

    def reply(self, requests):
        self.asked += [one.messages[0]["content"] for one in requests]
        return [self.says[place % len(self.says)] for place in range(len(requests))]


def test_a_model_is_asked_and_its_words_are_kept(rollout):
    forest = rollout(Independent(width=1), count=2, turns=3)
    replies = [ChatReply(text="so so", end="stop", tokens=7), ChatReply(end="timeout", detail="late", tokens=2)]
    chat = Scripted(says=replies)
    found = Asked(chat=chat)(forest, forest.leaves())
    assert [found.text("reflection")[row] for row in forest.leaves().tolist()] == ["so so", None]
    assert found["cost.judge_tokens"][forest.leaves()].tolist() == [7, 2]
    assert found["cost.judge_calls"][forest.leaves()].tolist() == [1, 1]
    assert "Task: a" in chat.asked[0]
    assert "the first of 3" in chat.asked[0]
    assert f"Step 0: {forest.text('text')[2]}" in chat.asked[0]


def test_settings():
    with pytest.raises(SettingError):
        Asked(chat=Scripted(says=[]), max_tokens=0)
    with pytest.raises(SettingError):
        ByReward(scorer=lambda forest, rows: forest, advice="")
