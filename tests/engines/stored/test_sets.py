"""Data sets from stored forests: by credit, by the reward of siblings, by what curation kept."""

import json

import pytest

from milepost.columns import End
from milepost.engines.stored.sets import DataSet
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.traces.forests import forest_of
from milepost.traces.record import Fault, Trace

USER = {"role": "user", "content": "Q?"}
SCORED = Forest.of(
    [-1, 0, 0, 0],
    {
        "record": [json.dumps({"prompt": "Q?"}), None, None, None],
        "text": [None, "yes", "no", "maybe"],
        "end": [0, *[int(End.TERMINATED)] * 3],
        "reward.total": [None, 1.0, 0.0, 0.5],
        "ok.total": [False, True, True, True],
    },
)
CREDITED = SCORED.with_columns({"advantage": [0.0, -1.0, 1.0, 0.0]})


def said(text):
    return {"role": "assistant", "content": text}


def rows(target, *forests, **settings):
    return list(DataSet(target=target, **settings).of_forests(forests))


def test_siblings_are_compared_by_their_reward():
    (pair,) = rows("dpo", SCORED)
    assert (pair["prompt"], pair["chosen"], pair["rejected"]) == ([USER], [said("yes")], [said("no")])
    assert rows("reward", SCORED) == [{"chosen": [USER, said("yes")], "rejected": [USER, said("no")]}]
    assert [row["label"] for row in rows("kto", SCORED, least=0.5)] == [True, False, True]
    assert rows("sft", SCORED) == [{"messages": [USER, said("yes")]}]
    assert len(rows("sft", SCORED, least=0.5)) == 2
    pruned = SCORED.with_columns({"end": [0, int(End.PRUNED), int(End.TERMINATED), int(End.TERMINATED)]})
    assert rows("sft", pruned) == []


def test_credit_goes_before_reward_unless_one_is_named():
    (pair,) = rows("dpo", CREDITED)
    assert (pair["chosen"], pair["rejected"]) == ([said("no")], [said("yes")])
    assert rows("reward", CREDITED)[0]["chosen"] == [USER, said("no")]
    assert [row["label"] for row in rows("kto", CREDITED)] == [False, True]
    (pair,) = rows("dpo", CREDITED, reward="total")
    assert pair["chosen"] == [said("yes")]
    assert len(rows("dpo", CREDITED, SCORED)) == 2


def test_conversations_are_compared_with_those_of_other_forests():
    def stored(text, value):
        return forest_of([Trace(id=text, messages=[USER, said(text)], rewards={"outcome": value})])

    (pair,) = rows("dpo", stored("no", 0.0), stored("yes", 1.0))
    assert (pair["chosen"], pair["rejected"]) == ([said("yes")], [said("no")])
    failed = Fault(file="hm", line=0, reason="the reward 'outcome' failed")
    fault, row = rows("kto", stored("hm", None), stored("yes", 1.0))
    assert (fault, row["label"]) == (failed, True)
    assert rows("kto", stored("yes", 1.0), stored("hm", None))[1:] == [failed]


def test_what_curation_kept_counts_as_good():
    found = [Trace(id=text, messages=[USER, said(text)], rewards={"total": 1.0}) for text in ("a", "b")]
    forest = forest_of(found).with_columns({"keep": [True, True, False, False]})
    assert rows("sft", forest) == [{"messages": [USER, said("a")]}]
    assert [row["label"] for row in rows("kto", forest)] == [True, False]
    assert [row["label"] for row in rows("kto", forest, reward="total")] == [True, True]
    grown = CREDITED.with_columns({"keep": [True, False, True, False]})
    assert rows("sft", grown) == [{"messages": [USER, said("no")]}]
    assert rows("sft", grown, reward="total") == [{"messages": [USER, said("yes")]}]


def test_what_is_missing_is_named():
    with pytest.raises(ColumnError, match=r"no 'advantage' and no 'reward\.total'.*milepost score"):
        rows("dpo", Forest.of([-1, 0], {"text": ["Q?", "yes"]}))
    with pytest.raises(SettingError, match="target"):
        DataSet(target="ppo")
