"""Solved tasks for the prompt: likeness by hand, never the task itself, and files that are none."""

import json

import pytest

from milepost.errors import FormatError
from milepost.rewards.written.examples import Example, likeness, nearest, read

SHUT = Example(task="Push the drawer shut.", source="def shut(): ...")
DOOR = Example(task="Open the door by its handle.", source="def door(): ...")
PRESS = Example(task="Press the button.", source="def press(): ...")


def test_likeness_by_hand():
    assert likeness("Push the drawer shut.", "push, the DRAWER: shut!") == pytest.approx(1)
    assert likeness("Pull the drawer open.", "Push the drawer shut.") == pytest.approx(1 / 3)
    assert likeness("push push", "push pull") == pytest.approx(1 / 2**0.5)
    assert likeness("the a of", "the a of") == 0.0
    assert likeness("lift", "press") == 0.0


def test_the_nearest_and_never_the_task_itself():
    known = (PRESS, SHUT, DOOR)
    assert nearest("Pull the drawer open by its handle.", known) == (DOOR,)
    assert nearest("Pull the drawer open by its handle.", known, 2) == (DOOR, SHUT)
    assert nearest("push the drawer shut", known, 3) == (PRESS, DOOR)
    assert nearest("lift", ()) == ()


def test_a_file_of_them(tmp_path):
    place = tmp_path / "solved.jsonl"
    place.write_text(json.dumps({"task": SHUT.task, "program": SHUT.source}) + "\n\n")
    assert read(str(place)) == (SHUT,)
    assert read("") == ()
    for wrong in ("{", '{"task": "a"}', '["a"]', '{"task": 1, "program": "x"}'):
        place.write_text(wrong)
        with pytest.raises(FormatError, match="line 1"):
            read(str(place))
    with pytest.raises(FormatError, match="cannot be read"):
        read(str(tmp_path / "nowhere"))
