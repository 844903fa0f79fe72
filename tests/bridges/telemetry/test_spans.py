"""Spans that the SDK wrote: one conversation per trace id, complete when its root has come."""

import json

import pytest

from milepost.bridges.telemetry import spans
from milepost.columns import End
from milepost.traces.record import Fault, calls_of
from tests.bridges.examples import FILES, traces


@pytest.mark.parametrize("file", ["otel.jsonl", "otel_console.jsonl"])
def test_conversations(file):
    first, second = traces(spans.read(FILES / file))
    assert [m["role"] for m in first.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert calls_of(first.messages[2])[0].arguments == {"city": "Oslo"}
    assert first.messages[3]["content"] == "rain"
    assert first.rest["spans"] == 4
    assert first.rest["attributes"]["gen_ai.request.model"] == "m"
    assert [m["content"] for m in second.messages] == ["Hi", "Hello"]
    assert calls_of(second.messages[1])[0].name == "f"


def span(trace, text, **more):
    attributes = {"gen_ai.input.messages": [{"role": "user", "content": text}], **more.pop("attributes", {})}
    return json.dumps({"context": {"trace_id": trace}, "attributes": attributes, **more})


def test_traces_without_a_root_are_not_held_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(spans, "_OPEN_TRACES", 3)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(span(str(i), f"text {i}", parent_id="p") for i in range(8)))
    found = spans.read(path)
    assert next(found).id == "0", "given out before the file was read to its end"
    assert [one.id for one in found] == [str(i) for i in range(1, 8)]


def test_a_cut_answer_and_a_bad_span(tmp_path):
    path = tmp_path / "a.jsonl"
    cut = {"gen_ai.response.finish_reasons": ["length"]}
    bad = json.dumps({"context": {"trace_id": "b"}, "attributes": {"gen_ai.input.messages": "[{"}})
    path.write_text("\n".join([span("a", "x", attributes=cut), bad, '{"context": {}}', "{}"]))
    first, *faults = spans.read(path)
    assert first.end is End.TOKEN_LIMIT
    assert [type(one) for one in faults] == [Fault] * 3
    assert [one.line for one in faults] == [2, 3, 4]
