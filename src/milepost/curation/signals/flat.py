"""Conversations of a batch laid flat: texts by speaker, calls, and where each stands.

The last 100 messages of a conversation are looked at; places are those in the whole conversation. Of a text over 2,000
characters the first 400 and the last 1,600 are kept. Of what a tool answered, the first and the last 300: a tool that
fails says so there, and what stands in the middle of long data is data.

Source: Signals 2026, text normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from milepost.traces.record import ANSWERS, Message, call_of, text_of

LAST_MESSAGES = 100
TEXT_CHARACTERS, ANSWER_CHARACTERS = 2000, 600


@dataclass(slots=True)
class Texts:
    """Texts of one kind of speaker, in order of conversations and of messages."""

    text: list[str] = field(default_factory=list[str])
    trace: list[int] = field(default_factory=list[int])
    place: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Calls:
    """Calls of tools, in order of conversations and of messages."""

    name: list[str] = field(default_factory=list[str])
    arguments: list[Any] = field(default_factory=list[Any])
    trace: list[int] = field(default_factory=list[int])
    place: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Batch:
    """A batch of conversations, laid flat; system messages are left out."""

    size: int = 0
    user: Texts = field(default_factory=Texts)
    agent: Texts = field(default_factory=Texts)
    answers: Texts = field(default_factory=Texts)
    calls: Calls = field(default_factory=Calls)

    def add(self, messages: Sequence[Message]) -> None:
        """Lay a conversation flat; only its texts and calls are held.

        Args:
            messages: in the shape of chat completions, as `traces.record.wrong_with` accepts them.
        """
        trace, start = self.size, max(0, len(messages) - LAST_MESSAGES)
        self.size += 1
        user, agent, answers = self.user, self.agent, self.answers
        for place, message in enumerate(messages[start:] if start else messages, start):
            content = message.get("content")
            if content:
                role = message["role"]
                text = content if content.__class__ is str else text_of(content)
                if role == "user":
                    texts = user
                elif role == "assistant":
                    texts = agent
                elif role in ANSWERS:
                    texts = answers
                    if len(text) > ANSWER_CHARACTERS:
                        text = _cut(text, ANSWER_CHARACTERS)
                else:
                    continue
                texts.text.append(text if len(text) <= TEXT_CHARACTERS else _cut(text, TEXT_CHARACTERS))
                texts.trace.append(trace)
                texts.place.append(place)
            if "tool_calls" in message:
                self._called(message, trace, place)

    def _called(self, message: Message, trace: int, place: int) -> None:
        calls = self.calls
        for raw in message["tool_calls"] or ():
            function = raw.get("function")
            if function.__class__ is dict:  # the commonest shape, without a record for each call
                calls.name.append(function["name"])
                calls.arguments.append(function.get("arguments"))
            else:
                call = call_of(raw)
                calls.name.append(call.name)
                calls.arguments.append(call.arguments)
            calls.trace.append(trace)
            calls.place.append(place)


def flat(conversations: Iterable[Sequence[Message]]) -> Batch:
    """Lay conversations flat, see `Batch.add`."""
    batch = Batch()
    for messages in conversations:
        batch.add(messages)
    return batch


def _cut(text: str, most: int) -> str:
    head = most // 5 if most == TEXT_CHARACTERS else most // 2
    return f"{text[:head]}\n{text[head - most :]}"
