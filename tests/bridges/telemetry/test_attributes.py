"""Typed values of OTLP, and messages in attributes of both generations."""

import pytest

from milepost.bridges.telemetry.attributes import attributes_of, messages_of, plain


def test_typed_values():
    raw = [
        {"key": "a", "value": {"intValue": "3"}},
        {"key": "b", "value": {"arrayValue": {"values": [{"boolValue": True}, {"doubleValue": 0.5}]}}},
        {"key": "c", "value": {"kvlistValue": {"values": [{"key": "d", "value": {"stringValue": "x"}}]}}},
        {"key": "e", "value": {}},
        {"key": "f", "value": {"arrayValue": {}}},
    ]
    assert attributes_of(raw) == {"a": 3, "b": [True, 0.5], "c": {"d": "x"}, "e": None, "f": []}
    assert attributes_of(None) == {}


def test_values_that_are_nested_too_deeply_are_refused():
    value = {"stringValue": "x"}
    for _ in range(40):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(ValueError, match="deep"):
        plain(value, depth=0)


def test_numbered_attributes_are_sorted_by_number():
    numbered = {f"gen_ai.prompt.{i}.content": str(i) for i in (10, 2, 0)} | {"gen_ai.completion.0.role": "assistant"}
    assert [m["content"] for m in messages_of(numbered)] == ["0", "2", "10", None]


def test_parts():
    message = {
        "role": "user",
        "parts": [
            {"type": "tool_call_response", "id": "c", "response": {"a": 1}}, {"type": "text", "content": "and"}, "odd",
        ],
    }  # fmt: skip
    answer, said = messages_of({"gen_ai.input.messages": [message]})
    assert answer == {"role": "tool", "tool_call_id": "c", "content": '{"a":1}'}
    assert said == {"role": "user", "content": "and"}
    assert messages_of({"other": 1}) == []
    with pytest.raises(TypeError):
        messages_of({"gen_ai.input.messages": [3]})
