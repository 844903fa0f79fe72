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


CHAT = [{"role": "user", "content": "Cancel it."}]
SIZES = {"sft": 1, "dpo": 1, "reward": 1, "kto": 2}


def attempt(text, **beside):
    return {"messages": [*CHAT, {"role": "assistant", "content": text}], **beside}


@pytest.mark.parametrize("target", SIZES)
def test_from_scored_conversations_to_a_data_set(target, tmp_path, capsys):
    path = write_lines(tmp_path / "a.jsonl", [attempt("no", reward=0.0), attempt("done", reward=1.0), attempt("?")])
    direct, stored, again = (tmp_path / name for name in ("direct.jsonl", "stored.jsonl", "again.jsonl"))
    assert main(["convert", str(path), str(direct), "--to", target, "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["read"], found["written"], found["faults"], found["to"]) == (3, SIZES[target], 1, target)
    assert "3:0: which reward? Its rewards: none" in said.err
    assert main(["convert", str(path), str(tmp_path / "forest")]) == 0
    assert main(["convert", str(tmp_path / "forest"), str(stored), "--to", target]) == 1
    assert f"3 records from forest to {target}, {SIZES[target]} rows, 1 could not be used." in capsys.readouterr().out
    assert direct.read_text() == stored.read_text()
    assert main(["convert", str(direct), str(tmp_path / "rows"), "--from", "trl"]) == 0
    assert main(["convert", str(tmp_path / "rows"), str(again), "--to", "trl"]) == 0
    assert [json.loads(x) for x in again.read_text().splitlines()] == [
        json.loads(x) for x in direct.read_text().splitlines()
    ]


def test_the_reward_of_a_data_set_and_how_much_of_it_is_good(tmp_path):
    lines = [attempt("no", rewards={"a": 0.0, "b": 0.5}), attempt("done", rewards={"a": 1.0, "b": 0.25})]
    path, out = write_lines(tmp_path / "a.jsonl", lines), tmp_path / "out.jsonl"
    assert main(["convert", str(path), str(out), "--to", "kto", "--reward", "b", "--least", "0.5"]) == 0
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == [True, False]


def test_wrong_usage(tmp_path, capsys):
    path = write_lines(tmp_path / "a.jsonl", LINES["chat"])
    assert main(["convert", str(path), str(path)]) == 2
    assert main(["convert", str(path), str(tmp_path / "b"), "--from", "x"]) == 2
    assert main(["convert", str(path), str(tmp_path / "b"), "--to", "x"]) == 2
    assert main(["convert", str(tmp_path / "no"), str(tmp_path / "b")]) == 2
    assert main(["convert", str(path), str(tmp_path / "b"), "--to", "chat", "--reward", "outcome"]) == 2
    assert main(["convert", str(FILES / "minari" / "arrow"), str(tmp_path / "b"), "--to", "sft"]) == 2
    assert "exists already" in capsys.readouterr().err
