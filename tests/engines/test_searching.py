"""Searches on disk: the same settings give the same bytes, and what is read is what was written."""

import pytest

from milepost import storage
from milepost.engines import searching
from milepost.errors import FormatError, ResumeError, SettingError, UnknownName

SETTINGS = {"problems": ("gap", "arm-pillar"), "iterations": 700, "repeats": 2}


def test_a_search(tmp_path):
    told = []
    found = searching.run("informed-rrt-star", SETTINGS, tmp_path / "a", seed=3, tell=told.append)
    assert list(found) == told
    assert [(one.task, one.repeat, one.seeker) for one in found[:4]] == [
        ("gap", 0, "informed"), ("gap", 0, "RRT*"), ("gap", 1, "informed"), ("gap", 1, "RRT*"),
    ]  # fmt: skip
    assert searching.read(tmp_path / "a") == tuple(
        type(one)(**{**vars(one), "scene": dict(one.scene)}) for one in found
    )
    forest = storage.read(tmp_path / "a" / "forests" / "gap.0")
    assert len(forest) == found[0].steps
    searching.run("informed-rrt-star", SETTINGS, tmp_path / "b", seed=3)
    assert (tmp_path / "a" / "outcomes.json").read_bytes() == (tmp_path / "b" / "outcomes.json").read_bytes()
    other = searching.run("informed-rrt-star", SETTINGS, tmp_path / "c", seed=4)
    assert other[0].progress != found[0].progress


def test_a_task_does_not_depend_on_the_others(tmp_path):
    alone = searching.run("informed-rrt-star", {**SETTINGS, "problems": ("arm-pillar",)}, tmp_path / "a")
    both = searching.run("informed-rrt-star", SETTINGS, tmp_path / "b")
    assert [one.progress for one in alone] == [one.progress for one in both if one.task == "arm-pillar"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResumeError, match="not empty"):
        searching.run("informed-rrt-star", SETTINGS, tmp_path)


def test_what_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'iterations'"):
        searching.job("informed-rrt-star", {"iteration": 3})
    with pytest.raises(SettingError, match="does not search"):
        searching.job("grpo", {})
    with pytest.raises(SettingError, match="cannot be built"):
        searching.job("informed-rrt-star", {"repeats": "x"})
    with pytest.raises(FormatError, match="no outcomes"):
        searching.read(tmp_path)
    (tmp_path / "outcomes.json").write_text('{"outcomes": [{"task": 1}]}')
    with pytest.raises(FormatError, match="no outcomes"):
        searching.read(tmp_path)
