"""`milepost show`."""

import json
from pathlib import Path

import pytest

from milepost import storage
from milepost.cli import show
from milepost.forest import Forest


@pytest.fixture
def forest(call):
    """A small tree with a hostile answer and a failed reward."""
    found = Forest.of(
        [-1, 0, 0, 0, 1],
        {
            "task": ["t:1"] * 5,
            "record": ['{"prompt": "1 + 1?"}'] * 5,
            "text": [None, "two\nlines", "\x1b[31mred\u202e", "three", "deeper"],
            "end": [0, 0, 1, 3, 1],
            "origin": [4, 0, 0, 0, 0],
            "advantage": [0.0, 1.0, -0.25, 0.0, 1.0],
            "reward.total": [None, None, 0.5, None, 1.0],
            "ok.total": [False, False, True, False, True],
            "reason.total": [None, None, None, "reward_error: bad \x07 luck", None],
        },
    )
    storage.write(found, "f")
    return Path("f")


def test_a_forest(call, forest):
    said = call("show", "f").out
    assert "5 steps, 1 tree, 3 trajectories, 0 dead groups, 1 failed reward" in said
    assert "ends: terminated 2, token_limit 1" in said
    assert "total   0.75  2        1" in said
    assert "#0 t:1" in said
    assert "Next: milepost show f#1" in said


def test_a_forest_as_json(call, forest):
    found = json.loads(call("show", "f", "--json").out)
    assert found["rewards"] == {"total": {"mean": 0.75, "counted": 2, "failed": 1}}
    assert found["trees"][0] == {
        "root": 0, "task": "t:1", "prompt": "1 + 1?", "answers": 3, "mean": 0.75, "dead": False,
    }  # fmt: skip


def test_a_step_with_its_path_and_siblings(call, forest):
    said = call("show", "f#4").out
    assert said.index("1 + 1?") < said.index("two") < said.index("deeper")
    assert "  │ two\n  │ lines\n" in said
    assert "credit +1.00" in said
    said = call("show", "f#1").out
    siblings = said[said.index("2 siblings of #1:") :].splitlines()[1:]
    assert siblings[0].split()[:2] == ["−0.25", "#2"]
    assert siblings[1].endswith("total failed (reward_error: bad ⟨U+0007⟩ luck)")


def test_hostile_text_does_not_reach_the_terminal(call, forest):
    for row in range(5):
        said = call("show", f"f#{row}").out
        assert "\x1b[31m" not in said
        assert "\u202e" not in said
    assert "⟨U+001B⟩[31mred⟨U+202E⟩" in call("show", "f#2").out


def test_a_step_as_json(call, forest):
    found = json.loads(call("show", "f#3", "--json").out)
    assert [one["row"] for one in found["path"]] == [0, 3]
    assert [one["row"] for one in found["siblings"]] == [1, 2]
    assert found["path"][1]["rewards"] == {"total": {"value": None, "reason": "reward_error: bad \x07 luck"}}
    assert found["path"][1]["end"] == "token_limit"


def test_wrong_rows(call, forest):
    done = call("show", "f#99")
    assert done.code == 2
    assert "rows 0 to 4" in done.err
    assert call("show", "f#x").code == 2


def test_a_run(call, engine):
    engine.interrupt_at = 2
    call("run", "barge", "--steps", "3", "--out", "r", "--no-report")
    said = call("show", "r").out
    assert "barge, seed 0" in said
    assert "2 of 3, stopped; continue with: milepost resume r" in said
    call("resume", "r", "--no-report")
    found = json.loads(call("show", "r", "--json").out)
    assert (found["step"], found["steps"], found["finished"]) == (3, 3, True)
    assert found["cost"] == {"tokens": 300}


def test_a_row_of_a_run_is_one_of_its_last_forest(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    found = json.loads(call("show", "r#45", "--json").out)
    assert found["forest"] == "r/evaluation/step-000001"
    assert found["path"][1]["text"] == "say 45"


def test_repeats(call, engine):
    call("run", "barge", "--steps", "1", "--repeats", "2", "--out", "r", "--no-report")
    assert [one["run"] for one in json.loads(call("show", "r", "--json").out)["repeats"]] == [
        "r/repeat-0",
        "r/repeat-1",
    ]


def test_nothing_there(call):
    assert call("show", "nowhere").code in (2, 3)


def test_credit_is_coloured_by_its_sign():
    def style(credit):
        one = {"advantage": credit, "row": 1, "text": "a", "call": None, "rewards": {}}
        return str(show._sibling(one, 1.0).spans[0].style)

    assert [style(credit) for credit in (0.5, -0.5, 0.0, None)] == ["blue", "dark_orange3", "dim", "dim"]
