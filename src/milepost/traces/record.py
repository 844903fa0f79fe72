"""Traces: stored conversations of an agent, as messages in the shape of chat completions. Imports no torch.

A message is a mapping with `role` (see `ROLES`), `content` (text, parts with text, or nothing) and, for what calls
tools, `tool_calls`; a message of role `tool` answers a call. Fields that a format adds stay in the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from milepost.columns import End

Message: TypeAlias = Mapping[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
"""Who speaks in a message; "function" is the older name of "tool"."""
ANSWERS = ("tool", "function")
"""Roles of messages that answer a call."""


@dataclass(slots=True, kw_only=True)
class Trace:
    """One stored conversation, and what stood beside its messages in the file."""

    id: str
    """What identifies it in its file: its own id, or the number of its line."""
    messages: Sequence[Message]
    parents: Sequence[int] | None = None
    """Message before each message (-1: none), for conversations that branch; None: one after the other."""
    task: str = ""
    """Id of the task, where the format has one."""
    draw: int = 0
    """Number of the attempt at the task."""
    end: End = End.TERMINATED
    rewards: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Rewards of the whole conversation by name; None: it could not be scored."""
    rest: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Everything else of the record, as the format has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A record that could not be read: where it stands and what is wrong with it."""

    file: str
    line: int
    """Number of the line, or of the record in a file that is one document, from 1; 0: the file as a whole."""
    reason: str

    def __str__(self) -> str:
        """The fault as one line."""
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a tool."""

    name: str
    arguments: Any
    """A mapping, or the text that the model wrote, which should be JSON."""


def text_of(content: object) -> str:
    """Text of a message's content: the text itself, or its parts with text, one a line; "" where there is none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts: list[str] = []
    for part in cast("list[object]", content):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            inner = cast("dict[str, object]", part)
            text = inner.get("text") or inner.get("content")
            if isinstance(text, str):
                parts.append(text)
    return "\n".join(parts)


def call_of(raw: Mapping[str, Any]) -> Call:
    """Read one entry of `tool_calls`: {"function": {"name", "arguments"}}, {"function": name, "arguments"} or {"name"}.

    Args:
        raw: the entry, of chat completions, inspect logs, tau2 results or verifiers traces.

    Returns:
        The call.

    Raises:
        KeyError: it has no name.
        TypeError: it is no mapping, or its name is no text.
    """
    function = raw.get("function")
    if isinstance(function, dict):
        raw = cast("dict[str, Any]", function)
        name = raw["name"]
    elif isinstance(function, str):
        name = function
    else:
        name = raw["name"]
    if not isinstance(name, str):
        raise TypeError("the name of a call is no text")
    return Call(name=name, arguments=raw.get("arguments"))


def calls_of(message: Message) -> list[Call]:
    """Calls of a message; see `call_of` for what it raises."""
    raw = message.get("tool_calls")
    return [call_of(entry) for entry in raw] if raw else []


def wrong_with(messages: object) -> str:
    """What is wrong with the messages of a record, naming the message by its number from 0; "" when nothing is.

    Args:
        messages: anything.

    Returns:
        One clause without a full stop.
    """
    if _sound(messages):
        return ""
    if not isinstance(messages, list):
        return f"messages are {_kind(messages)}, expected an array"
    if not messages:
        return "there are no messages"
    for number, message in enumerate(cast("list[object]", messages)):
        wrong = _wrong_message(message)
        if wrong:
            return f"message {number} {wrong}"
    return ""


_SPEAKERS, _SIMPLE, _TEXT = frozenset(ROLES), frozenset((str, type(None))), frozenset((str,))


def _sound(messages: Any) -> bool:
    """Whether messages are of the commonest shape, as nearly all are: a quick yes, or else a closer look."""
    try:
        if not messages or not {message["role"] for message in messages} <= _SPEAKERS:
            return False
        called = [message["tool_calls"] for message in messages if "tool_calls" in message]
        names = {type(call["function"]["name"]) for calls in called for call in calls or ()}
        return {type(message.get("content")) for message in messages} <= _SIMPLE and names <= _TEXT
    except (AttributeError, KeyError, TypeError, IndexError):
        return False


def _wrong_message(message: object) -> str:
    if not isinstance(message, dict):
        return f"is {_kind(message)}, expected an object"
    fields = cast("dict[str, object]", message)
    role, content, calls = fields.get("role"), fields.get("content"), fields.get("tool_calls")
    if not isinstance(role, str) or role not in ROLES:
        return f"has the role {_short(role)}, expected one of {', '.join(ROLES)}"
    if content is not None and not isinstance(content, (str, list)):
        return f"has content that is {_kind(content)}, expected text or an array of parts"
    if isinstance(content, list):
        for part in cast("list[object]", content):
            if not isinstance(part, (str, dict)):
                return f"has a content part that is {_kind(part)}, expected an object"
    if calls is None:
        return ""
    if not isinstance(calls, list):
        return f"has tool_calls that are {_kind(calls)}, expected an array"
    for call in cast("list[object]", calls):
        if not isinstance(call, dict):
            return f"has a tool call that is {_kind(call)}, expected an object"
        try:
            call_of(cast("dict[str, Any]", call))
        except (KeyError, TypeError):
            return "has a tool call without a name"
    return ""


def _kind(value: object) -> str:
    names = ((dict, "an object"), (list, "an array"), (str, "text"), (bool, "a truth value"), (type(None), "null"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")


def _short(value: object) -> str:
    return repr(value) if value is None or len(repr(value)) <= 30 else f"{repr(value)[:30]}..."
