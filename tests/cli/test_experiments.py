"""`milepost run` of a recipe that measures."""

import json
from pathlib import Path

import pytest

from milepost.cli import main
from milepost.engines.experiments import run as engine
from milepost.forest import Forest
from milepost.recipe import Evaluate, Measured


@pytest.fixture
def here(tmp_path, monkeypatch):
    def experiment(task, key):
        numbers = {"ours": {"worth": 2.0}, "theirs": {"worth": 1.0, "lost": float("nan")}}
        return Measured(numbers=numbers, forests={"kept": Forest.of([-1])}, scene={})

    monkeypatch.setattr(
        engine, "job", lambda name, own: Evaluate(tasks=("a",), experiment=experiment, repeats=own.get("repeats", 1))
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_experiment_ends_with_a_report(here, capsys):
    assert main(["run", "ss-orl", "--repeats", "2"]) == 0
    text = capsys.readouterr().out
    assert "theirs" in text
    first = Path("runs/ss-orl-1/report.html").read_text()
    assert main(["report", "runs/ss-orl-1", "-o", "y.html"]) == 0
    assert Path("y.html").read_text() == first
    capsys.readouterr()
    assert main(["run", "ss-orl", "--no-report", "--json", "--out", "x"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["numbers"]["theirs"] == {"worth": 1.0, "lost": None}
    assert lines[-1] == {"folder": "x", "rows": 1, "report": ""}


def test_settings_and_wrong_usage(here, capsys):
    assert main(["run", "ss-orl", "--dry-run", "--share", "0.2"]) == 0
    assert "share = 0.2" in capsys.readouterr().out
    assert main(["run", "ss-orl", "--shares", "0.2"]) == 2
