"""What a judge is shown of siblings, and what becomes of its ranking."""

import json

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import ChatReply
from milepost.rewards import guard
from milepost.rewards.judging.judge import Cost, Judgement
from milepost.rewards.judging.model import ModelJudge
from milepost.rewards.judging.siblings import BestOfSiblings, Tried

RECORD = json.dumps({"prompt": "Cancel it.", "answer": "solved"})


class Ranks:
    """A judge with given places; it keeps the cases."""

    identity = "given"

    def __init__(self, *places):
        self.places, self.cases = list(places), []

    def rank(self, cases):
        self.cases += cases
        found = [self.places.pop(0) for _ in cases]
        return [
            Judgement(answer=one, unusable=None if one else "reward_error: no verdict", cost=Cost(calls=2, tokens=9))
            for one in found
        ]


def forest(texts=("look", "cancel", "hm"), results=("ok", "done", "bad")):
    return Forest.of(
        [-1, 0, *[1] * len(texts)],
        {
            "record": [RECORD, *[None] * (1 + len(texts))],
            "text": [None, "find", *texts],
            "result": [None, "Ann", *results],
            "call": [None, json.dumps({"action": "call"}), *[None] * len(texts)],
        },
    )


def test_it_sees_the_task_the_past_and_what_came_back():
    judge = Ranks((2.0, 1.0, 3.0))
    scored = guard.score(BestOfSiblings(judge=judge, view=Tried(characters=3)), forest(), torch.tensor([2, 3, 4]))
    assert scored["reward.best"].tolist()[2:] == [0.0, 1.0, 0.0]
    (case,) = judge.cases
    assert case.material == {"task": "Cancel it.", "steps so far": "find\n\nCame back:\nAnn"}
    assert case.candidates[1] == "cancel\n\nCame back:\ndon"
    assert [one["call"] for one in case.known["past"]] == [{"action": "call"}]
    assert scored["cost.judge_tokens"].tolist()[2:] == [9.0, 0.0, 0.0]


def test_what_cannot_be_used_is_no_number():
    scored = guard.score(BestOfSiblings(judge=Ranks(None), view=Tried()), forest(), torch.tensor([2, 3, 4]))
    assert scored["ok.best"].tolist()[2:] == [False] * 3
    assert scored.text("reason.best")[2:] == ["reward_error: no verdict"] * 3
    model = ModelJudge(chat=Silent())
    scored = guard.score(BestOfSiblings(judge=model, view=Tried()), forest(), torch.tensor([2, 3, 4]))
    assert not scored["ok.best"].any()


class Silent:
    model = "silent"

    def reply(self, requests):
        return [ChatReply(end="error", detail="gone")] * len(requests)


def test_equals_and_lone_ones_need_no_judge():
    judge = Ranks()
    same = forest(("look", "look"), ("ok", "ok"))
    assert guard.score(BestOfSiblings(judge=judge, view=Tried()), same, torch.tensor([2, 3]))["reward.best"].tolist()[
        2:
    ] == [1.0, 1.0]
    lone = guard.score(BestOfSiblings(judge=judge, view=Tried()), forest(), torch.tensor([1]))
    assert lone["reward.best"][1] == 1.0
    assert judge.cases == []


def test_ties_are_shared_and_groups_are_by_parent():
    scored = guard.score(
        BestOfSiblings(judge=Ranks((1.5, 1.5, 3.0)), view=Tried()), forest(), torch.tensor([1, 2, 3, 4])
    )
    assert scored["reward.best"].tolist()[1:] == [1.0, 1.0, 1.0, 0.0]


def test_siblings_that_cannot_be_shown_are_those_rows_failure():
    broken = forest().with_columns({"record": ["{", None, None, None, None]})
    scored = guard.score(BestOfSiblings(judge=Ranks(), view=Tried()), broken, torch.tensor([2, 3, 4]))
    assert not scored["ok.best"].any()
    with pytest.raises(SettingError, match="characters"):
        Tried(characters=0)
