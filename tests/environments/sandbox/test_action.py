"""Calls and words as an agent writes them."""

import pytest

from milepost.environments.sandbox.action import read, spoken, written


def test_there_and_back():
    act = read("First. " + written("find", {"name": "Zoë", "items": [1, 2]}))
    assert (act.kind, act.tool, act.arguments, act.thought) == (
        "call",
        "find",
        {"name": "Zoë", "items": [1, 2]},
        "First.",
    )
    assert read(spoken("Hello")).text == "Hello"
    assert read('<call>{"name": "list"}</call>').arguments == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hello", "no_action"),
        ("<call>find()</call>", "not_json"),
        ("<call>[1]</call>", "not_a_call"),
        ('<call>{"name": 3}</call>', "not_a_call"),
        ('<call>{"name": "f", "arguments": "x"}</call>', "not_a_call"),
        ("<call>" + "[" * 100_000 + "</call>", "not_json"),
        ("<say>a</say><say>b</say>", "two_actions"),
    ],
)
def test_what_cannot_be_read_has_a_fault(text, fault):
    act = read(text)
    assert (act.kind, act.fault) == ("malformed", fault)
