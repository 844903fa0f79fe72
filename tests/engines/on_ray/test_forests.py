"""Scoring and curation on a cluster: the bytes of a local run, also when a worker is killed in the middle."""

import json
from pathlib import Path

import pytest
import torch

from milepost.cli import main
from milepost.engines.on_ray.forests import apply, packed, unpacked
from milepost.engines.stored.work import Curating, Place, Scoring, done
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.rewards.function import Function
from tests.engines.on_ray.work import __file__ as work_file
from tests.engines.on_ray.work import files, forest, kill_later, letters, run

pytestmark = pytest.mark.trainers
REWARD = f"{Path(work_file).resolve()}:letters"


def places(source, out):
    return [Place(source=one, out=out / one.name) for one in sorted((source / "forests").iterdir())]


def locally(work, source, out):
    return [done(work, place) for place in places(source, out)]


def test_a_killed_worker_costs_time_only(ray, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    source = run(tmp_path / "run", [2, 3, 9, 8, 2, 3], wait=str(marks))
    work = Scoring(rewards=(Function(source=REWARD),), trees=4)
    said = locally(work, source, tmp_path / "local")
    assert apply(work, places(source, tmp_path / "whole")) == said
    assert files(tmp_path / "whole") == files(tmp_path / "local")
    killer = kill_later(marks)
    assert apply(work, places(source, tmp_path / "killed")) == said
    killer.join()
    assert files(tmp_path / "killed") == files(tmp_path / "local")


def test_the_command(ray, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def size(completions, **columns):\n    return [float(len(c)) for c in completions]\n"
    )
    run(tmp_path / "run", [3, 2])
    assert main(["score", "run", "--reward", "mine.py:size", "--out", "here", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    assert main(["score", "run", "--reward", "mine.py:size", "--out", "there", "--ray", "auto", "--json"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert [one["rewards"] for one in here["forests"]] == [one["rewards"] for one in there["forests"]]
    assert files(tmp_path / "here") == files(tmp_path / "there")


class Marking:
    """A step of a curation that looks at all of a forest."""

    reads, writes = ("text",), ("keep",)

    def __call__(self, forest):
        best = max(len(text or "") for text in forest.text("text"))
        return forest.with_columns({"keep": [len(text or "") == best for text in forest.text("text")]})


def test_curation(ray, tmp_path):
    source = run(tmp_path / "run", [6, 2])
    work = Curating(steps=(Marking(),))
    assert apply(work, places(source, tmp_path / "there")) == locally(work, source, tmp_path / "here")
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_a_damaged_forest_is_told_in_its_own_words(ray, tmp_path):
    source = run(tmp_path / "run", [2, 2])
    (data,) = (source / "forests" / "step-000002").glob("steps-*.parquet")
    data.write_bytes(data.read_bytes()[:-10] + b"0123456789")
    with pytest.raises(FormatError, match="steps-"):
        apply(Scoring(rewards=(Function(source=REWARD),)), places(source, tmp_path / "out"))


def test_what_workers_hand_over():
    thin = Forest.of([-1, -1], {"reward.x": [None, 1.5], "reason.x": ["timeout", None]})
    again = unpacked(packed(thin))
    assert again["reward.x"][1] == 1.5
    assert again.valid("reward.x").tolist() == [False, True]
    assert again.text("reason.x") == ["timeout", None]
    with pytest.raises(FormatError, match=r"feature\.x"):
        packed(Forest.of([-1], {"feature.x": torch.zeros(1, 2)}))
    with pytest.raises(FormatError, match="no forest"):
        unpacked(b"nothing")
    assert letters(["ab"]) == [0.5]
    assert len(forest(2)) == 8
