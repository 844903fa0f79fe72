"""Conversations from the files that were triaged, by line or by id, and files that have changed."""

import json
import shutil

import pytest

from milepost.errors import SettingError
from milepost.report.traces import source, table
from milepost.traces.record import Fault, Trace
from tests.bridges.examples import FILES
from tests.report.traces.triages import made


def test_by_line(tmp_path):
    folder = made(tmp_path)
    rows = table.rows(folder, [40, 2])
    found = {row.number: trace for row, trace in source.conversations(source.source_of(folder), rows)}
    assert (found[40].id, found[2].id) == ("failing", "fine 2")
    said = source.said(found[40])
    assert [one.role for one in said] == ["user", "assistant", "tool", "assistant"]
    assert said[1].calls == ('find({"zip": "1"})',)
    assert said[3].text == "I cannot."


def test_files_that_have_changed_are_told(tmp_path):
    folder = made(tmp_path)
    rows, path = table.rows(folder, [1, 2, 41]), tmp_path / "talks.jsonl"
    path.write_text("\n".join([path.read_text().split("\n")[0], "{", '{"messages": 3}']), encoding="utf-8")
    found = [trace for _, trace in source.conversations(path, rows)]
    assert [type(one) for one in found] == [Fault, Fault, Fault]
    assert "no JSON" in found[0].reason
    assert "the file has changed" in found[2].reason
    path.unlink()
    with pytest.raises(SettingError, match="--source"):
        source.source_of(folder)
    assert [type(trace) for _, trace in source.conversations(path, rows)] == [Fault] * 3


def test_documents_by_id(tmp_path):
    shutil.copy(FILES / "tau2.json", tmp_path / "tau2.json")
    ids = [one["id"] for one in json.loads((tmp_path / "tau2.json").read_text())["simulations"]]
    rows = [
        table.Row(number=n, value={"file": "tau2.json", "line": n + 1, "id": str(one)}) for n, one in enumerate(ids)
    ]
    found = [trace for _, trace in source.conversations(tmp_path, rows)]
    assert all(isinstance(one, Trace) for one in found)
    assert [one.id for one in found] == [str(one) for one in ids]


def test_odd_calls_are_shown_as_they_are():
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}
    (one,) = source.said(Trace(id="a", messages=[message]))
    assert one.calls == ("[{'id': 1}]",)
