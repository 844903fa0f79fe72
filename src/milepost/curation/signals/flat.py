"""Conversations of a batch laid flat: texts by speaker and calls, each kind one array of bytes, and where each stands.

The last 100 messages of a conversation are looked at; places are those in the whole conversation. Of a text over 2,000
characters the first 400 and the last 1,600 are kept. Of what a tool answered, the first and the last 300: a tool that
fails says so there, and what stands in the middle of long data is data.

Source: Signals 2026, text normalisation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from milepost.traces.record import ANSWERS, Message, call_of, text_of

LAST_MESSAGES = 100
TEXT, ANSWER = (400, 1600), (300, 300)
"""Characters that are kept of the beginning and the end of a text, and of what a tool answered."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one kind of speaker, in order of conversations and of messages."""

    data: NDArray[np.uint8]
    """All texts in UTF-8, one after the other."""
    offsets: NDArray[np.int32]
    """Where each begins, and where the last one ends."""
    trace: NDArray[np.int64]
    """Number of the conversation of each."""
    place: NDArray[np.int64]
    """Number of the message of each in its conversation."""

    @classmethod
    def of(cls, texts: Sequence[str], trace: Sequence[int] = (), place: Sequence[int] = ()) -> Texts:
        """Texts from a list of them; half of a pair of surrogates, which is no text, becomes a question mark."""
        raw = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.zeros(len(raw) + 1, dtype=np.int32)
        np.cumsum([len(one) for one in raw], out=offsets[1:])
        traces = np.array(trace or [0] * len(raw), dtype=np.int64)
        places = np.array(place or range(len(raw)), dtype=np.int64)
        return cls(np.frombuffer(b"".join(raw), dtype=np.uint8), offsets, traces, places)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.trace)

    def raw(self, row: int) -> bytes:
        """One text in UTF-8."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def text(self, row: int) -> str:
        """One text."""
        return self.raw(row).decode()

    def arrow(self) -> pa.Array:
        """All texts as an array of Arrow's, which shares the memory."""
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(self.offsets), pa.py_buffer(self.data))


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of tools, in order of conversations and of messages."""

    spelled: Texts
    """Of each its name, a blank and its arguments, as they are written."""
    name_size: NDArray[np.int64]
    """Bytes of each name."""

    def name(self, row: int) -> str:
        """Name of the tool."""
        return self.spelled.raw(row)[: self.name_size[row]].decode()

    def arguments(self, row: int) -> str:
        """The arguments, which should be JSON."""
        return self.spelled.raw(row)[self.name_size[row] + 1 :].decode()


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of conversations, laid flat; system messages are left out."""

    size: int
    user: Texts
    agent: Texts
    answers: Texts
    calls: Calls


@dataclass(slots=True)
class _Gathered:
    text: list[str] = field(default_factory=list[str])
    trace: list[int] = field(default_factory=list[int])
    place: list[int] = field(default_factory=list[int])

    def texts(self) -> Texts:
        return Texts.of(self.text, self.trace, self.place)


class Laying:
    """Lays conversations flat one after the other; only their texts and calls are held."""

    def __init__(self) -> None:
        self.size = 0
        self._user, self._agent, self._answers, self._calls = (_Gathered() for _ in range(4))
        self._names: list[int] = []

    def add(self, messages: Sequence[Message]) -> None:
        """Lay a conversation flat.

        Args:
            messages: in the shape of chat completions, as `traces.record.wrong_with` accepts them.
        """
        trace, start = self.size, max(0, len(messages) - LAST_MESSAGES)
        self.size += 1
        for place, message in enumerate(messages[start:] if start else messages, start):
            content = message.get("content")
            if content:
                self._said(message["role"], content if content.__class__ is str else text_of(content), trace, place)
            if "tool_calls" in message:
                self._called(message, trace, place)

    def _said(self, role: str, text: str, trace: int, place: int) -> None:
        into, length = self._answers, ANSWER
        if role in ("user", "assistant"):
            into, length = self._user if role == "user" else self._agent, TEXT
        elif role not in ANSWERS:
            return
        into.text.append(text if len(text) <= sum(length) else _cut(text, *length))
        into.trace.append(trace)
        into.place.append(place)

    def _called(self, message: Message, trace: int, place: int) -> None:
        calls = self._calls
        for raw in message["tool_calls"] or ():
            call = call_of(raw)
            arguments = call.arguments if isinstance(call.arguments, str) else canonical(call.arguments)
            self._names.append(len(call.name.encode("utf-8", "replace")))
            calls.text.append(f"{call.name} {arguments}")
            calls.trace.append(trace)
            calls.place.append(place)

    def batch(self) -> Batch:
        """All that was added."""
        user, agent, answers, calls = (one.texts() for one in (self._user, self._agent, self._answers, self._calls))
        return Batch(self.size, user, agent, answers, Calls(calls, np.array(self._names, dtype=np.int64)))


def flat(conversations: Iterable[Sequence[Message]]) -> Batch:
    """Lay conversations flat, see `Laying.add`."""
    laying = Laying()
    for messages in conversations:
        laying.add(messages)
    return laying.batch()


def _cut(text: str, head: int, tail: int) -> str:
    return f"{text[:head]}\n{text[-tail:]}"


def canonical(arguments: Any) -> str:
    """Arguments as one text that does not depend on the order of keys; text that is no JSON stays as it is."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
    return json.dumps(arguments, sort_keys=True, default=str)
