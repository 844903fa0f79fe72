"""Rows of TRL's data sets, as JSON lines: conversations, prompts with completions, pairs, and logged GRPO batches.

A row is {"messages"}, {"prompt", "completion"} or {"prompt", "chosen", "rejected"}, each as text or as messages, with
numbers beside them such as "reward", "advantage" or "label". A pair becomes a trace that branches after the prompt: the
chosen branch first. A prompt without an answer is a trace too.
"""

from __future__ import annotations

from typing import Any, cast

from milepost.bridges import fields
from milepost.traces.record import Fault, Trace, wrong_with

_ANSWERS = ("completion", "chosen", "rejected")
_AS_TEXT, _PART = "trl_text", "trl_part"


def of_value(value: object, file: str, line: int) -> Trace | Fault:
    """One trace from a parsed row.

    Args:
        value: the parsed row.
        file: name of the file, for faults.
        line: number of the line, which is the id of a row that has none.

    Returns:
        The trace, or what is wrong with the row.
    """
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the row is no object")
    row = dict(cast("dict[str, Any]", value))
    parts = [name for name in ("messages", "prompt", *_ANSWERS) if name in row]
    if not parts:
        return Fault(file=file, line=line, reason=f"no messages, prompt or completion; the fields: {fields.named(row)}")
    messages: list[dict[str, Any]] = []
    parents: list[int] = []
    trunk = -1
    for name in parts:
        part = row.pop(name)
        role = "assistant" if name in _ANSWERS else "user"
        made = [{"role": role, "content": part, _AS_TEXT: True}] if isinstance(part, str) else part
        wrong = wrong_with(made)
        if wrong:
            return Fault(file=file, line=line, reason=f"{name}: {wrong}")
        parents += [trunk, *range(len(messages), len(messages) + len(made) - 1)]
        messages += [{**message, _PART: name} for message in made]
        trunk = trunk if name in _ANSWERS else len(messages) - 1
    straight = parents == list(range(-1, len(parents) - 1))
    return Trace(
        id=fields.text(row, "id") or str(line),
        messages=messages,
        parents=None if straight else parents,
        task=fields.text(row, "task_id"),
        rewards=fields.rewards(row),
        rest=row,
    )


def value_of(trace: Trace) -> object:
    """The row of a trace as a JSON value.

    Args:
        trace: one that `read` made, or any conversation: what stands before its last answer of the policy's is the
            prompt, the answer and what follows is the completion.

    Returns:
        A row with "prompt" and "completion", or the fields that were read.
    """
    row: dict[str, Any] = fields.beside(trace)
    parts: dict[str, Any] = {}
    for message, name in zip(trace.messages, _parts(trace), strict=True):
        if message.get(_AS_TEXT):
            parts[name] = message["content"]
        else:
            parts.setdefault(name, []).append({key: one for key, one in message.items() if key != _PART})
    return row | parts


def _parts(trace: Trace) -> list[str]:
    """The field of the row that each message belongs to."""
    known = [message.get(_PART) for message in trace.messages]
    if all(isinstance(name, str) for name in known):
        return cast("list[str]", known)
    spoken = [place for place, message in enumerate(trace.messages) if message["role"] == "assistant"]
    cut = spoken[-1] if spoken else len(trace.messages)
    return ["prompt" if place < cut else "completion" for place in range(len(trace.messages))]
