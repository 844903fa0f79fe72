"""Content blocks become chat messages and come back, whatever their order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.bridges import anthropic
from milepost.traces.record import Fault, Trace, calls_of
from tests.bridges.examples import BLOCKS, CHAT, LINES, USE

TEXT = st.sampled_from(("", "a", "b c"))
BLOCK = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": TEXT, "name": TEXT, "input": st.dictionaries(TEXT, TEXT, max_size=1)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": TEXT},
        optional={
            "content": st.none() | TEXT | st.lists(st.just({"type": "text", "text": "a"})),
            "is_error": st.booleans(),
        },
    ),
    st.fixed_dictionaries({"type": st.sampled_from(("thinking", "image"))}),
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(("user", "assistant")), "content": TEXT | st.lists(BLOCK, max_size=4)}
)


@settings(max_examples=400, deadline=None)
@given(st.lists(MESSAGE, min_size=1, max_size=5), st.none() | TEXT)
def test_written_equals_read(messages, system):
    value = {"messages": messages, **({} if system is None else {"system": system})}
    trace = anthropic.of_value(value, "f", 1)
    assert isinstance(trace, Trace)
    assert anthropic.value_of(trace) == value


def test_what_was_changed_is_written_as_it_is_now():
    trace = anthropic.of_value({"messages": BLOCKS[3:4]}, "f", 1)
    trace.messages = [{**trace.messages[0], "content": "4"}]
    assert anthropic.value_of(trace)["messages"] == [{"role": "assistant", "content": [{"type": "text", "text": "4"}]}]


def test_blocks_become_messages():
    found = anthropic.of_value(LINES["anthropic"][0], "f", 1)
    roles = [m["role"] for m in found.messages]
    assert roles[:6] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert [call.name for call in calls_of(found.messages[2])] == ["add", "add"]
    assert found.messages[3]["content"] == "3"


def test_chat_messages_are_written_as_blocks():
    value = anthropic.value_of(Trace(id="1", messages=CHAT))
    assert value["system"] == "Be brief."
    assert [m["role"] for m in value["messages"]] == ["user", "assistant", "user", "assistant"]
    assert value["messages"][1]["content"][0] == {**USE, "input": '{"x": 1}'}
    assert value["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": "3"}]


@pytest.mark.parametrize(
    "message",
    [3, {"role": "system", "content": "x"}, {"role": "user"}, {"role": "user", "content": [3]},
     {"role": "user", "content": [{"text": "x"}]}, {"role": "assistant", "content": [{"type": "tool_use"}]},
     {"role": "user", "content": [{"type": "tool_result", "content": 3}]}],
)  # fmt: skip
def test_faults_name_the_message(message):
    found = anthropic.of_value({"messages": [BLOCKS[0], message]}, "f", 4)
    assert isinstance(found, Fault)
    assert found.reason.startswith("message 1 ")
    assert found.line == 4
