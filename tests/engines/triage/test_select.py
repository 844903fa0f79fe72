"""Second pass: duplicates over all pieces, the same whatever the parts, and lines counted through the file."""

import pyarrow.parquet as pq
import pytest

from milepost.curation.selection.rules import Random, Selection
from milepost.engines.triage import select as module
from milepost.engines.triage.run import Triage, triage
from tests.bridges.examples import write_lines


def conversation(*said):
    return {"messages": [{"role": "user", "content": text} for text in said]}


def rows(tmp_path, name, values, **settings):
    path = write_lines(tmp_path / f"{name}.jsonl", values)
    done = triage(path, tmp_path / name, Triage(**settings), tell=lambda _: None)
    return done, pq.read_table(tmp_path / name / "traces.parquet").to_pylist()


def test_duplicates_point_to_the_first_across_pieces(tmp_path, monkeypatch):
    first, second = (tuple(f"{word} {i}" for i in range(30)) for word in ("a", "b"))
    values = [conversation(*first), conversation(*second), conversation(*first), conversation(*second, "once more")]
    done, found = rows(tmp_path, "one", values, piece_bytes=100)
    assert [row["duplicate_of"] for row in found] == [None, None, 0, 1]
    assert done.chosen.duplicates == 2
    monkeypatch.setattr(module, "_PART", 1)
    _, parts = rows(tmp_path, "two", values, piece_bytes=100)
    assert [row["duplicate_of"] for row in parts] == [None, None, 0, 1], "the same in parts of the hashes"
    _, none = rows(tmp_path, "three", values, alike=1.5)
    assert [row["duplicate_of"] for row in none] == [None] * 4


def test_duplicates_are_left_to_the_sentinels(tmp_path):
    values = [conversation("same", "words")] * 50
    selection = Selection(rule=Random(), keep=1.0, sentinel=0.0)
    done, found = rows(tmp_path, "a", values, selection=selection)
    assert [row["keep"] for row in found] == [True] + [False] * 49
    assert done.chosen.kept == 1


def test_lines_are_numbered_through_the_file(tmp_path):
    values = [conversation(f"text {i}") for i in range(30)]
    _, whole = rows(tmp_path, "a", values)
    _, cut = rows(tmp_path, "a2", values, piece_bytes=64)
    assert [row["line"] for row in cut] == list(range(1, 31)) == [row["line"] for row in whole]


def test_an_empty_pool(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{\n")
    done = triage(path, tmp_path / "out", Triage(), form="chat", tell=lambda _: None)
    assert (done.chosen.traces, done.chosen.kept, done.faults) == (0, 0, 1)
    assert pq.read_table(tmp_path / "out" / "faults.parquet").num_rows == 1


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_counts_are_those_of_the_table(keep, tmp_path):
    values = [conversation("That is not what I asked" if i % 5 == 0 else f"item {i * 7919}") for i in range(300)]
    done, found = rows(tmp_path, "a", values, selection=Selection(keep=keep), alike=1.5)
    chosen = done.chosen
    assert chosen.kept == sum(row["keep"] for row in found)
    assert chosen.sentinel == sum(row["sentinel"] for row in found)
    assert chosen.expected == pytest.approx(keep * 300)
    assert chosen.kinds[0] == 60
    assert sum(chosen.levels) == 300
