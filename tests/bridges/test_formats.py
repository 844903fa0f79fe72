"""Formats are recognised, written lines equal the ones read, and faults stop nothing."""

import dataclasses
import json

import pytest

from milepost.bridges import formats
from milepost.errors import FormatError, UnknownName
from milepost.traces.record import Fault, Trace
from tests.bridges.examples import FILES, LINES, traces, write_lines

OWN = {
    "inspect.eval": "inspect", "inspect.json": "inspect", "tau2.json": "tau2", "verifiers.jsonl": "verifiers",
    "otel.jsonl": "otel", "otel_console.jsonl": "otel",
}  # fmt: skip


@pytest.mark.parametrize("file", OWN)
def test_files_of_the_libraries_are_recognised_and_read(file):
    assert formats.detect(FILES / file) == OWN[file]
    assert traces(formats.read(FILES / file))


@pytest.mark.parametrize("name", LINES)
def test_first_lines_are_recognised(name, tmp_path):
    for number, value in enumerate(LINES[name]):
        if (name, number) in {("trl", 0), ("anthropic", 2)}:
            continue  # messages alone are a chat
        assert formats.detect(write_lines(tmp_path / f"{number}.jsonl", [value])) == name, value


@pytest.mark.parametrize("name", formats.WRITABLE)
def test_written_lines_equal_the_ones_read(name, tmp_path):
    source = FILES / "verifiers.jsonl" if name == "verifiers" else write_lines(tmp_path / "in.jsonl", LINES[name])
    target = tmp_path / "out.jsonl"
    assert formats.write(traces(formats.read(source, name)), target, name) == len(source.read_text().splitlines())
    before, after = ([json.loads(line) for line in file.read_text().splitlines()] for file in (source, target))
    assert before == after


@pytest.mark.parametrize("name", formats.WRITABLE)
@pytest.mark.parametrize("file", ["tau2.json", "inspect.eval", "otel.jsonl"])
def test_what_one_format_read_another_writes(file, name, tmp_path):
    """Who spoke, what was said and what was called survives; verl keeps texts only."""
    before = traces(formats.read(FILES / file))
    target = tmp_path / "out.jsonl"
    formats.write(before, target, name)
    after = traces(formats.read(target, name))
    assert len(before) == len(after)
    if name in ("chat", "verifiers"):
        for one, two in zip(before, after, strict=True):
            assert [m["role"] for m in one.messages] == [m["role"] for m in two.messages]
            assert [m.get("content") for m in one.messages] == [m.get("content") for m in two.messages]
    if name == "anthropic":
        assert sum(m["role"] == "tool" for t in before for m in t.messages) == sum(
            m["role"] == "tool" for t in after for m in t.messages
        )


def test_bad_lines_stop_nothing(tmp_path):
    path = write_lines(tmp_path / "in.jsonl", LINES["chat"][:2])
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], '{"messages": [', "", '{"messages": 3}', text[1]]))
    found = list(formats.read(path))
    assert [type(one) for one in found] == [Trace, Fault, Fault, Trace]
    assert [one.line for one in found if isinstance(one, Fault)] == [2, 4]
    assert "not JSON" in found[1].reason
    assert "expected an array" in found[2].reason


def test_unknown_files_are_named_with_what_to_do(tmp_path):
    empty, odd = tmp_path / "a.jsonl", write_lines(tmp_path / "b.jsonl", [{"x": 1}])
    empty.write_text("")
    for path in (empty, odd):
        with pytest.raises(FormatError, match="Name it: chat"):
            formats.detect(path)
    with pytest.raises(UnknownName, match="Did you mean 'chat'"):
        formats.read(odd, "chats")
    with pytest.raises(UnknownName, match="to write"):
        formats.write([], tmp_path / "c", "tau2")


def test_a_branch_is_refused_where_the_format_knows_none(tmp_path):
    branching = Trace(id="a", messages=[{"role": "user", "content": "x"}] * 3, parents=[-1, 0, 0])
    with pytest.raises(FormatError, match="branches"):
        formats.write([branching], tmp_path / "a", "chat")
    formats.write([branching], tmp_path / "b", "verifiers")
    (again,) = traces(formats.read(tmp_path / "b", "verifiers"))
    assert dataclasses.replace(again, rest={}).parents == [-1, 0, 0]
