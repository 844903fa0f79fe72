"""`milepost score`."""

import json
from pathlib import Path

import pytest

from milepost import storage
from milepost.columns import End
from milepost.forest import Forest

MINE = """
def reward(prompts, completions, answer, **columns):
    found = []
    for text, right in zip(completions, answer):
        if text == "boom":
            raise RuntimeError("cannot read this one")
        found.append(None if text == "" else float(text == right))
    return found
"""


def small(texts):
    count = len(texts)
    return Forest.of(
        [-1] + [0] * count,
        {
            "task": ["t:1"] * (count + 1),
            "record": ['{"prompt": "1 + 1?", "answer": "2"}'] + [None] * count,
            "text": ["1 + 1?", *texts],
            "end": [int(End.OPEN)] + [int(End.TERMINATED)] * count,
        },
    )


@pytest.fixture
def stored(call):
    storage.write(small(["2", "3", "", "boom"]), "f")
    Path("mine.py").write_text(MINE)


def test_failures_are_data(call, stored):
    before = {path.name: path.read_bytes() for path in Path("f").iterdir()}
    done = call("score", "f", "--reward", "mine.py:reward", "--out", "g", "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)["forests"][0]["rewards"][0]
    assert (row["name"], row["scored"], row["failed"], row["mean"]) == ("reward", 2, 2, 0.5)
    assert row["reasons"]["reward_error"] >= 1
    assert sum(row["details"].values()) == 2
    told = call("score", "f", "--reward", "mine.py:reward", "--out", "h").out
    assert all(f"{count} x reward: {reason}" in told for reason, count in row["details"].items())
    found = storage.read("g")
    assert found["ok.reward"].tolist()[1:] == [True, True, False, False]
    assert found["reward.total"][1:3].tolist() == [1, 0]
    assert {path.name: path.read_bytes() for path in Path("f").iterdir()} == before


def test_nothing_is_overwritten(call, stored):
    Path("g").mkdir()
    done = call("score", "f", "--reward", "mine.py:reward", "--out", "g")
    assert done.code == 2
    assert "nothing is overwritten" in done.err


def test_a_part_by_its_class(call, stored):
    done = call(
        "score", "f", "--reward", "milepost.rewards.outcome:Outcome", "--reward", "mine.py:reward", "--out", "g"
    )
    assert done.code == 0, done.err
    assert {"reward.outcome", "reward.reward", "reward.total"} <= set(storage.read("g").names)
    assert "outcome" in done.out


def test_a_step_that_was_never_asked_about_has_not_failed(call, stored):
    forest = small(["2", "3"])
    storage.write(forest.append([1, 2], {"text": ["2", "2"], "end": [int(End.TERMINATED)] * 2}), "deep")
    row = json.loads(call("score", "deep", "--reward", "mine.py:reward", "--out", "g", "--json").out)["forests"][0]
    assert [(one["scored"], one["failed"]) for one in row["rewards"]] == [(2, 0), (2, 0)]


def test_what_score_wrote_holds_no_credit_to_check(call, stored, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    storage.write(small(["2", "3"]), "r/forests/step-000001")
    call("score", "r", "--reward", "mine.py:reward", "--out", "g")
    found = json.loads(call("check", "g", "--json").out)
    assert [(one["forest"], one["checked"]) for one in found["forests"]] == [("g/forests/step-000001", [])]
    assert "no credit is stored" in call("check", "g").out


def test_a_reward_that_is_not_there(call, stored):
    done = call("score", "f", "--reward", "mine.py:rewrd", "--out", "g")
    assert done.code == 2
    assert "Did you mean 'reward'" in done.err
    assert not Path("g").exists()


def test_all_forests_of_a_run(call, stored, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    for step in (1, 2):
        storage.write(small(["2", "3"]), f"r/forests/step-{step:06d}")
    found = json.loads(call("score", "r", "--reward", "mine.py:reward", "--out", "g", "--json").out)
    assert [one["out"] for one in found["forests"]] == ["g/forests/step-000001", "g/forests/step-000002"]
