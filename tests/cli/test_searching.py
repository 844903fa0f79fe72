"""`milepost run` of a recipe that searches."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from milepost.cli import main, searching
from milepost.engines.searching import Outcome

FEW = ["--problems", "wide", "--iterations", "300", "--repeats", "1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_search_ends_with_a_report(here, capsys):
    assert main(["run", "informed-rrt-star", *FEW]) == 0
    text = capsys.readouterr().out
    assert "wide, informed, 1: cost 1." in text
    assert Path("runs/informed-rrt-star-1/report.html").is_file()
    assert main(["run", "informed-rrt-star", *FEW, "--no-report", "--json", "--seed", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seeker"] for line in lines[:2]] == ["informed", "RRT*"]
    assert lines[-1] == {"folder": "runs/informed-rrt-star-2", "searches": 2, "report": ""}


def test_order_of_weight(here, capsys):
    (here / "run.toml").write_text(
        'recipe = "informed-rrt-star"\nseed = 5\n[settings]\niterations = 300\nrepeats = 2\nproblems = ["wide"]\n'
    )
    assert main(["run", "@", "run.toml", "--repeats", "1", "--dry-run"]) == 0
    found = tomllib.loads(capsys.readouterr().out)
    assert found["seed"] == 5
    assert found["settings"]["repeats"] == 1
    assert found["settings"]["iterations"] == 300
    assert found["settings"]["problems"] == ["wide"]
    assert main(["run", "@", "run.toml", "--no-report", "--out", "x"]) == 0
    saved = tomllib.loads(Path("x/run.toml").read_text())
    assert saved == {
        "recipe": "informed-rrt-star", "seed": 5, "settings": {"iterations": 300, "repeats": 2, "problems": ["wide"]},
    }  # fmt: skip


def test_wrong_usage(here, capsys):
    (here / "run.toml").write_text('recipe = "informed-rrt-star"\n[settings]\niteration = 300\n')
    assert main(["run", "@", "run.toml"]) == 2
    assert "Did you mean 'iterations'" in capsys.readouterr().err
    (here / "run.toml").write_text('recipe = "informed-rrt-star"\n[tasks]\ntrain = 3\n')
    assert main(["run", "@", "run.toml"]) == 2
    assert main(["run", "informed-rrt-star", "--problems", "nowhere", "--no-report"]) == 2
    assert main(["run", "informed-rrt-star", "--width", "3"]) == 2
    assert main(["run", "informed-rrt-star", "--help"]) == 0
    assert "draws per problem" in capsys.readouterr().out


def test_listed_numbers_stay_numbers(here, capsys):
    assert main(["run", "dts", "--forks", "3", "5", "--classes", "class 1", "--dry-run"]) == 0
    found = tomllib.loads(capsys.readouterr().out)["settings"]
    assert (found["forks"], found["classes"]) == ([3, 5], ["class 1"])


def test_the_report_is_written_again(here, capsys):
    assert main(["run", "informed-rrt-star", *FEW, "--out", "x"]) == 0
    first = Path("x/report.html").read_text()
    Path("x/report.html").unlink()
    capsys.readouterr()
    assert main(["report", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"][0]["report"] == "x/report.html"
    assert Path("x/report.html").read_text() == first
    assert main(["report", "x", "-o", "y.html"]) == 0
    assert Path("y.html").read_text() == first
    assert main(["show", "x"]) == 2
    assert "`milepost report x`" in capsys.readouterr().err
    Path("x/outcomes.json").unlink()
    assert main(["report", "x"]) == 3
    assert "milepost run @ x/run.toml" in capsys.readouterr().err


def test_draws_are_told_by_their_rewards_and_paths_by_their_cost():
    """A search for images has no cost that a user would know: its reward is printed, and what its draws are worth."""
    drawn = {"drawn": [3], "rewards": {"class": -0.25, "recognised": 0.75}, "calls": 640.0}
    one = Outcome(task="class 1", seeker="DTS", repeat=0, cost=0.5, steps=9, progress=(), scene=drawn)
    said = "best reward -0.5000, mean of the draws: class -0.250, recognised 0.750; 640 model calls"
    assert searching.came_to(one) == said
    assert searching.came_to(replace(one, scene={})) == "cost 0.5000, 9 steps"
    assert searching.came_to(replace(one, cost=None)) == "nothing found, 9 steps"
