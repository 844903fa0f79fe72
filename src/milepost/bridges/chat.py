"""JSON lines of chat completions, the shape of OpenAI's interface: one conversation a line.

A line is {"messages": [...], ...}, a bare array of messages, or a logged exchange {"request": {"messages": ...},
"response": {"choices": [{"message": ...}]}}. Written lines equal the ones read, as JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from milepost.bridges import fields
from milepost.columns import End
from milepost.traces.record import Fault, Message, Trace, wrong_with

_ENDS = {"stop": End.TERMINATED, "tool_calls": End.TERMINATED, "length": End.TOKEN_LIMIT, "content_filter": End.VOID}


def of_value(value: object, file: str, line: int) -> Trace | Fault:
    """One conversation from a parsed line.

    Args:
        value: the parsed line.
        file: name of the file, for faults.
        line: number of the line, which is the id of a conversation that has none.

    Returns:
        The conversation, or what is wrong with it.
    """
    rest: dict[str, Any] = {}
    if isinstance(value, dict):
        rest = dict(cast("dict[str, Any]", value))
        if "messages" in rest:
            messages = rest.pop("messages")
        elif "request" in rest or "response" in rest:
            messages = _exchange(rest)
            if isinstance(messages, str):
                return Fault(file=file, line=line, reason=messages)
        else:
            return Fault(file=file, line=line, reason=f"no messages; the fields are {fields.named(rest)}")
    else:
        messages = cast("Any", value)
    wrong = wrong_with(messages)
    if wrong:
        return Fault(file=file, line=line, reason=wrong)
    found = trace_of(rest, messages, line)
    return found if isinstance(value, dict) else replace(found, rest={fields.BARE: True})


def trace_of(rest: Mapping[str, Any], messages: Sequence[Message], line: int) -> Trace:
    """A conversation from its messages and what stands beside them.

    Args:
        rest: the other fields of the line.
        messages: sound ones.
        line: number of the line, which is the id of a conversation that has none.

    Returns:
        The conversation.
    """
    return Trace(
        id=fields.text(rest, "id") or str(line),
        messages=messages,
        task=fields.text(rest, "task_id"),
        end=_ENDS.get(str(rest.get("finish_reason")), End.TERMINATED),
        rewards=fields.rewards(rest),
        rest=rest,
    )


def _exchange(rest: Mapping[str, Any]) -> Any:
    """Messages of a logged exchange, or why there are none."""
    request, response = rest.get("request"), rest.get("response")
    if not isinstance(request, dict) or "messages" not in request:
        return "the request has no messages"
    asked = cast("dict[str, Any]", request)["messages"]
    if not isinstance(asked, list):
        return wrong_with(asked)
    try:
        choices = cast("dict[str, Any]", response)["choices"]
        return [*asked, choices[0]["message"]]
    except (KeyError, TypeError, IndexError):
        return "the response has no choices with a message"


def value_of(trace: Trace) -> object:
    """The line of a conversation as a JSON value.

    Args:
        trace: the conversation; its messages are written as they are.

    Returns:
        An object with `messages` and everything that stood beside them; a bare array where one was read.
    """
    messages = list(trace.messages)
    if fields.BARE in trace.rest:
        return messages
    if "request" in trace.rest and "response" in trace.rest and "messages" not in trace.rest:
        return dict(trace.rest)
    return {**fields.beside(trace), "messages": messages}
