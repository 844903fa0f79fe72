"""Pieces of a file: every line belongs to one of them, whatever the cut, and long lines are skipped."""

import json
from itertools import pairwise

import pyarrow.parquet as pq
import pytest

from milepost.engines.triage import scan as module
from milepost.engines.triage import tables as written
from milepost.engines.triage.scan import Piece, pieces, scan
from tests.bridges.examples import FILES, LINES, write_lines


def tables(tmp_path, path, ranges, form="chat"):
    out = tmp_path / "out"
    for name in ("traces", "signals", "faults"):
        (out / name).mkdir(parents=True, exist_ok=True)
    place = {"path": str(path), "format": form, "out": str(out), "name": "n"}
    found = [scan(Piece(number=i, start=a, stop=b, **place)) for i, (a, b) in enumerate(ranges)]
    read = {
        name: [pq.read_table(out / name / f"{i:06d}.parquet").to_pylist() for i in range(len(ranges))]
        for name in ("traces", "signals", "faults")
    }
    return found, read


@pytest.mark.parametrize("size", [5, 40, 100, 500, 5000])
def test_every_line_belongs_to_one_piece(size, tmp_path):
    values = [{"id": f"t{i}", "messages": [{"role": "user", "content": "x" * (i * 13 % 90)}]} for i in range(20)]
    path = write_lines(tmp_path / "a.jsonl", values)
    path.write_text(path.read_text().replace("\n", "\n\n", 3))
    found, read = tables(tmp_path, path, pieces(path, "chat", size=size))
    assert [row["id"] for rows in read["traces"] for row in rows] == [f"t{i}" for i in range(20)]
    assert sum(one.lines for one in found) == 23
    assert sum(one.traces for one in found) == 20


def test_only_files_of_lines_are_cut(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"] * 5)
    assert pieces(path, "verifiers", size=10) == [(0, 0)]
    assert pieces(path, "chat", size=1 << 30) == [(0, path.stat().st_size)]
    cut = pieces(path, "chat", size=100)
    assert cut[0][0] == 0
    assert cut[-1][1] == path.stat().st_size
    assert all(a[1] == b[0] for a, b in pairwise(cut))


def test_faults_and_signals_stand_at_their_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    said = ("hello", "That is not what I asked")
    angry = {"messages": [{"role": "user", "content": text} for text in said]}
    path.write_text("{\n" + json.dumps(angry) + '\n{"messages": []}\n\n')
    (found,), read = tables(tmp_path, path, [(0, path.stat().st_size)])
    assert (found.lines, found.traces, found.faults) == (4, 1, 2)
    assert [row["line"] for row in read["faults"][0]] == [1, 3]
    (row,) = read["signals"][0]
    assert (row["line"], row["message"], row["signal"]) == (2, 1, "correction")
    assert row["snippet"] == "That is not what I asked"
    assert read["traces"][0][0]["id"] is None, "a conversation without an id is named by its line"


def test_other_formats_are_read_whole(tmp_path):
    (found,), read = tables(tmp_path, FILES / "tau2.json", [(0, 0)], form="tau2")
    assert (found.traces, found.faults) == (3, 0)
    assert [row["reward"] for row in read["traces"][0]] == [1.0, 0.0, None]
    assert [row["signal"] for row in read["signals"][0]].count("tool_not_found") == 1


def test_long_lines_are_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RECORD_BYTES", 1000)
    good = json.dumps({"messages": [{"role": "user", "content": "x"}]})
    path = tmp_path / "a.jsonl"
    path.write_text(f"{good}\n{'y' * 5000}\n{good}\n")
    (found,), read = tables(tmp_path, path, [(0, path.stat().st_size)])
    assert (found.lines, found.traces, found.faults) == (3, 2, 1)
    assert [row["line"] for row in read["traces"][0]] == [1, 3]


def test_batches_and_row_groups_do_not_show(tmp_path, monkeypatch):
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"][:1] * 50)
    _, one = tables(tmp_path / "1", path, [(0, 0)])
    monkeypatch.setattr(written, "MESSAGES_AT_ONCE", 17)
    monkeypatch.setattr(written, "_ROW_GROUP", 5)
    _, two = tables(tmp_path / "2", path, [(0, 0)])
    assert one == two
