"""`milepost convert`: from format to format and to forests; faults are named and counted."""

import json

import pytest

from milepost import storage
from milepost.bridges import formats
from milepost.cli import convert, main
from tests.bridges.examples import FILES, LINES, traces, write_lines


@pytest.mark.parametrize("file", ["tau2.json", "inspect.eval", "verifiers.jsonl", "otel.jsonl"])
def test_to_a_forest_and_back(file, tmp_path, capsys):
    assert main(["convert", str(FILES / file), str(tmp_path / "forest")]) == 0
    assert main(["convert", str(tmp_path / "forest"), str(tmp_path / "out.jsonl"), "--to", "verifiers"]) == 0
    before, after = (traces(formats.read(path)) for path in (FILES / file, tmp_path / "out.jsonl"))
    assert [len(one.messages) for one in before] == [len(one.messages) for one in after]
    assert "from forest to verifiers" in capsys.readouterr().out


def test_faults_are_named_and_counted(tmp_path, capsys):
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"])
    path.write_text(path.read_text() + "{\n[3]\n")
    assert main(["convert", str(path), str(tmp_path / "out.jsonl"), "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["read"], found["faults"], found["from"], found["to"]) == (len(LINES["chat"]), 2, "chat", "chat")
    assert [one["line"] for one in found["found"]] == [len(LINES["chat"]) + 1, len(LINES["chat"]) + 2]
    assert len(said.err.splitlines()) == 2
    assert "a.jsonl:" in said.err


def test_many_rows_are_stored_as_several_forests(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "ROWS_AT_ONCE", 10)
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"][:1] * 7)
    assert main(["convert", str(path), str(tmp_path / "out")]) == 0
    folders = sorted((tmp_path / "out" / "forests").iterdir())
    assert [len(storage.read(one)) for one in folders] == [10, 10, 10, 5]
    assert main(["convert", str(tmp_path / "out"), str(tmp_path / "b.jsonl")]) == 0
    assert (tmp_path / "b.jsonl").read_text().count("\n") == 7


def test_episodes_of_minari(tmp_path):
    assert main(["convert", str(FILES / "minari" / "arrow"), str(tmp_path / "out")]) == 0
    assert len(storage.read(tmp_path / "out").roots()) == 3
    assert main(["convert", str(FILES / "minari" / "arrow"), str(tmp_path / "o"), "--to", "chat"]) == 2


def test_wrong_usage(tmp_path, capsys):
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"])
    assert main(["convert", str(path), str(path)]) == 2
    assert main(["convert", str(path), str(tmp_path / "b"), "--from", "x"]) == 2
    assert main(["convert", str(path), str(tmp_path / "b"), "--to", "x"]) == 2
    assert main(["convert", str(tmp_path / "no"), str(tmp_path / "b")]) == 2
    assert "exists already" in capsys.readouterr().err
