"""The quick way through a file gives the tables of the plain one, also where lines are odd or broken."""

import json
import random

import pyarrow.parquet as pq
import pytest

from milepost.engines.triage import run as module
from milepost.engines.triage import scan as scanning
from milepost.engines.triage.run import Triage, triage
from tests.bridges.broken import GOOD, corpus
from tests.curation.signals.conversations import conversations

TABLES = ("traces", "signals", "faults")


def tables(path, out, monkeypatch, *, fast, piece_bytes=1 << 20):
    monkeypatch.setattr(module, "FAST_BYTES", 0 if fast else 1 << 60)
    triage(path, out, Triage(piece_bytes=piece_bytes), form="chat", tell=lambda _: None)
    return {name: pq.read_table(out / f"{name}.parquet").to_pylist() for name in TABLES}


@pytest.mark.parametrize("block", [1 << 10, 1 << 23])
def test_the_tables_are_the_same(block, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "_BLOCK", block)
    source = random.Random(3)
    lines = []
    for messages in conversations(300, seed=3):
        if source.random() < 0.1:
            messages = [{**one, "content": [{"type": "text", "text": one["content"] or ""}]} for one in messages]
        value = {"id": source.choice(["a", 7, None]), "task_id": "t", "reward": 0.5, "messages": messages}
        line = json.dumps(value, ensure_ascii=source.random() < 0.5)
        lines.append(source.choice([line] * 8 + [line[:-3], "", "{}", "[]", line.replace('"role"', '"rule"', 1)]))
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    slow = tables(path, tmp_path / "slow", monkeypatch, fast=False)
    fast = tables(path, tmp_path / "fast", monkeypatch, fast=True, piece_bytes=50_000)
    assert slow == fast
    assert len(slow["traces"]) > 150
    assert len(slow["signals"]) > 500
    assert len(slow["faults"]) > 50


def test_calls_count_whoever_makes_them_and_whatever_he_says(tmp_path, monkeypatch):
    call = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
    lines = [
        json.dumps(
            {"messages": [{"role": role, "content": content, "tool_calls": [call]}, {"role": "user", "content": "so?"}]}
        )
        for role in ("system", "developer", "user", "assistant")
        for content in ("well", None, "")
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    slow = tables(path, tmp_path / "slow", monkeypatch, fast=False)
    assert slow == tables(path, tmp_path / "fast", monkeypatch, fast=True)
    assert {one["calls"] for one in slow["traces"]} == {1}


def test_every_broken_line_is_the_same_fault(tmp_path, monkeypatch):
    contents = [one.content.replace(b"\n", b" ") for one in corpus() if one.format in ("chat", "anthropic", "trl")]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([GOOD["chat"], *contents, GOOD["chat"]]))
    slow = tables(path, tmp_path / "slow", monkeypatch, fast=False)
    fast = tables(path, tmp_path / "fast", monkeypatch, fast=True)
    assert slow == fast
    assert len(fast["faults"]) > 100
    assert fast["traces"][-1]["line"] == len(contents) + 2
