"""Messages in every shape are read the same way, and what is wrong with them is named."""

import pytest

from milepost.traces.record import Call, Fault, call_of, calls_of, text_of, wrong_with


def test_text_of_every_shape_of_content():
    assert text_of("a") == "a"
    assert text_of(None) == text_of(3) == text_of([]) == ""
    parts = [{"type": "text", "text": "a"}, "b", {"type": "image"}, {"content": "c"}, 3, {"text": {"no": "text"}}]
    assert text_of(parts) == "a\nb\nc"


@pytest.mark.parametrize(
    "raw",
    [
        {"function": {"name": "f", "arguments": "{}"}},
        {"function": "f", "arguments": "{}"},
        {"name": "f", "arguments": "{}", "requestor": "user"},
    ],
)
def test_calls_of_four_formats(raw):
    assert call_of(raw) == Call(name="f", arguments="{}")
    assert calls_of({"role": "assistant", "tool_calls": [raw, raw]}) == [call_of(raw)] * 2


def test_no_calls():
    assert calls_of({"role": "assistant"}) == calls_of({"role": "assistant", "tool_calls": None}) == []


@pytest.mark.parametrize("raw", [{}, {"function": {}}, {"function": {"name": 3}}, {"name": None}])
def test_a_call_needs_a_name(raw):
    with pytest.raises((KeyError, TypeError)):
        call_of(raw)


def test_what_is_wrong_is_named_with_the_message():
    good = {"role": "user", "content": "x"}
    assert wrong_with([good]) == ""
    assert wrong_with([good, {"role": "wizard"}]).startswith("message 1 has the role 'wizard', expected one of system")
    assert wrong_with([good, {**good, "content": 3}]) == (
        "message 1 has content that is a number, expected text or an array of parts"
    )
    assert wrong_with(None) == "messages are null, expected an array"
    assert wrong_with([]) == "there are no messages"
    assert "no name" not in wrong_with([{"role": "x" * 100}])
    assert len(wrong_with([{"role": "x" * 100}])) < 200


def test_a_fault_is_one_line():
    assert str(Fault(file="a.jsonl", line=3, reason="not JSON")) == "a.jsonl:3: not JSON"
