"""The journal: lines are appended, cut back to a checkpoint, and mirrored without ever stopping a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from milepost.engines.journal import Journal, mirrors
from milepost.errors import ResumeError, UnknownName


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_after_the_checkpoint_are_cut(tmp_path: Path) -> None:
    journal = Journal(folder=tmp_path)
    journal.write("metrics.jsonl", {"step": 1})
    kept = journal.lengths()
    journal.write("metrics.jsonl", {"step": 2})
    journal.write("timings.jsonl", {"step": 2})
    journal.cut(kept, 1)
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1}]
    assert (tmp_path / "timings.jsonl").read_bytes() == b""


def test_half_a_line_is_cut_too(tmp_path: Path) -> None:
    journal = Journal(folder=tmp_path)
    journal.write("metrics.jsonl", {"step": 1})
    kept = journal.lengths()
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "rew')
    journal.cut(kept, 1)
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1}]


def test_a_file_shorter_than_at_the_checkpoint_is_refused(tmp_path: Path) -> None:
    journal = Journal(folder=tmp_path)
    journal.write("metrics.jsonl", {"step": 1})
    with pytest.raises(ResumeError, match="fewer than"):
        journal.cut({"metrics.jsonl": 1_000}, 1)


class Broken:
    """A tracker whose connection is gone."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        raise ConnectionError("gone")


class Listening:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self.heard.append(step)


def test_a_dead_mirror_is_named_and_left_out(tmp_path: Path) -> None:
    listening = Listening()
    journal = Journal(folder=tmp_path, mirrors=[Broken(), listening])
    journal.mirror({"a": 1.0}, 1)
    journal.mirror({"a": 2.0}, 2)
    assert listening.heard == [1, 2]
    assert journal.broken == ["Broken: gone"]


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    (mirror,) = mirrors(["tensorboard"], tmp_path)
    mirror.log({"reward/total_mean": 0.5}, 1)
    assert any((tmp_path / "tensorboard").iterdir())


def test_an_unknown_tracker_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="tensorboard"):
        mirrors(["tensorbord"], tmp_path)
