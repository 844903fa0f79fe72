"""Experiments on disk: the same settings give the same bytes; what could not be had is null."""

import math

import pytest

from milepost import recipe, storage
from milepost.engines.experiments import run as engine
from milepost.errors import FormatError, ResumeError, SettingError, UnknownName
from milepost.forest import Forest
from milepost.recipe import Evaluate, Measured


def experiment(task, key):
    numbers = {"ours": {"worth": (key % 97) / 97, "lost": math.nan}, "theirs": {"worth": 0.5}}
    return Measured(numbers=numbers, forests={"kept": Forest.of([-1, 0])}, scene={"notes": [task]})


@pytest.fixture
def named(monkeypatch):
    """A recipe that measures, under the name of one that is there."""
    monkeypatch.setattr(
        recipe, "builder", lambda name: lambda **own: Evaluate(tasks=("a", "b"), experiment=experiment, repeats=2)
    )


def test_an_experiment(named, tmp_path):
    told = []
    found = engine.run("ss-orl", {}, tmp_path / "x", seed=3, tell=told.append)
    assert list(found) == told
    assert [(one.task, one.repeat) for one in found] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert found[0].numbers["ours"]["lost"] is None
    assert engine.read(tmp_path / "x") == found
    assert len(storage.read(tmp_path / "x" / "forests" / "a.kept")) == 2
    engine.run("ss-orl", {}, tmp_path / "y", seed=3)
    assert (tmp_path / "x" / engine.FILE).read_bytes() == (tmp_path / "y" / engine.FILE).read_bytes()
    other = engine.run("ss-orl", {}, tmp_path / "z", seed=4)
    assert other[0].numbers != found[0].numbers


def test_what_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'repeats'"):
        engine.job("ss-orl", {"repeat": 3})
    with pytest.raises(SettingError, match="does not measure"):
        engine.job("grpo", {})
    with pytest.raises(SettingError, match="cannot be built"):
        engine.job("ss-orl", {"repeats": "x"})
    with pytest.raises(SettingError, match="does nothing"):
        Evaluate(tasks=(), experiment=experiment)
    with pytest.raises(FormatError, match="no measurements"):
        engine.read(tmp_path)
    (tmp_path / engine.FILE).write_text('{"rows": [{"task": 1}]}')
    with pytest.raises(FormatError, match="no measurements"):
        engine.read(tmp_path)
    with pytest.raises(ResumeError, match="not empty"):
        engine.run("ss-orl", {}, tmp_path)
