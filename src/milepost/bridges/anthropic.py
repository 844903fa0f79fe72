"""JSON lines in the shape of Anthropic's messages: content blocks, a system text beside the messages, tool results
inside user messages.

A message with blocks becomes chat messages: text and tool uses of an assistant are one message, each tool result is a
message of role tool, and what else a user sends is a message of role user. Where that mapping cannot be undone (other
blocks, other fields), the first of them keeps the original, so that written lines equal the ones read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from milepost.bridges import fields
from milepost.columns import End
from milepost.traces.record import ANSWERS, Fault, Message, Trace, call_of, text_of

_SOURCE, _MORE = "anthropic", "anthropic_more"
_ENDS = {"max_tokens": End.TOKEN_LIMIT, "refusal": End.VOID}


def of_value(value: object, file: str, line: int) -> Trace | Fault:
    """One conversation from a parsed line.

    Args:
        value: the parsed line.
        file: name of the file, for faults.
        line: number of the line, which is the id of a conversation that has none.

    Returns:
        The conversation, or what is wrong with it.
    """
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the line is no object with messages")
    rest = dict(cast("dict[str, Any]", value))
    raw = rest.pop("messages", None)
    if not isinstance(raw, list) or not raw:
        reason = f"no messages; the fields are {fields.named(rest)}" if raw is None else "there are no messages"
        return Fault(file=file, line=line, reason=reason)
    messages: list[Message] = []
    if "system" in rest:
        messages.append({"role": "system", "content": rest.pop("system"), _MORE: "system"})
    for number, message in enumerate(cast("list[Any]", raw)):
        try:
            messages += _messages(message)
        except _Wrong as wrong:
            return Fault(file=file, line=line, reason=f"message {number} {wrong}")
    end = _ENDS.get(str(rest.get("stop_reason")), End.TERMINATED)
    name, task = fields.text(rest, "id") or str(line), fields.text(rest, "task_id")
    return Trace(id=name, messages=messages, task=task, end=end, rewards=fields.rewards(rest), rest=rest)


class _Wrong(Exception):
    """Why a message cannot be read."""


def _messages(raw: object) -> Sequence[Message]:
    if not isinstance(raw, dict):
        raise _Wrong("is no object")
    message = cast("dict[str, Any]", raw)
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant"):
        raise _Wrong(f"has the role {str(role)[:30]!r}, expected user or assistant")
    if isinstance(content, str):
        return [message]
    if not isinstance(content, list):
        raise _Wrong("has neither text nor content blocks")
    blocks: list[dict[str, Any]] = []
    for block in cast("list[object]", content):
        if not isinstance(block, dict) or not isinstance(cast("dict[str, Any]", block).get("type"), str):
            raise _Wrong("has a content block without a type")
        blocks.append(cast("dict[str, Any]", block))
    made = _made(str(role), blocks)
    return made if _written(made) == message else [{**made[0], _SOURCE: message}, *made[1:]]


def _made(role: str, blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages for the blocks of one message."""
    made = _assistant(blocks) if role == "assistant" else _user(blocks)
    opens = {_MORE: False} if made[0]["role"] == "tool" else {}
    return [{**made[0], **opens}, *({**one, _MORE: True} for one in made[1:])]


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    uses = [block for block in blocks if block["type"] == "tool_use"]
    for use in uses:
        if not isinstance(use.get("name"), str):
            raise _Wrong("has a tool use without a name")
    texts = [block for block in blocks if block["type"] == "text"]
    made: dict[str, Any] = {"role": "assistant", "content": text_of(list(texts)) if texts else None}
    if uses:
        made["tool_calls"] = [{"id": use.get("id"), "name": use["name"], "arguments": use.get("input")} for use in uses]
    return [made]


def _user(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for block in blocks:
        if block["type"] == "tool_result":
            answer = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content")}
            if block.get("content") is not None and not isinstance(block["content"], (str, list)):
                raise _Wrong("has a tool result that is neither text nor blocks")
            made.append(answer | ({"is_error": block["is_error"]} if "is_error" in block else {}))
    others = [block for block in blocks if block["type"] != "tool_result"]
    if others or not made:
        made.append({"role": "user", "content": list(others)})
    return made


def _rebuilt(made: Sequence[Message]) -> Message:
    """The original message, from the messages it became."""
    first = made[0]
    source = first.get(_SOURCE)
    if source is not None:
        bare = [{name: one for name, one in message.items() if name != _SOURCE} for message in made]
        if bare == _made(source["role"], source["content"]):  # else someone changed what was read
            return source
    blocks: list[Any] = []
    for message in made:
        if message["role"] in ANSWERS:
            block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": message["content"]}
            blocks.append(block | ({"is_error": message["is_error"]} if "is_error" in message else {}))
        elif message["role"] == "user":
            content = message.get("content")
            blocks += content if isinstance(content, list) else [{"type": "text", "text": text_of(content)}]
        else:
            blocks += _blocks(message)
    return {"role": "assistant" if first["role"] == "assistant" else "user", "content": blocks}


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = text_of(message.get("content"))
    uses = [_use(call) for call in message.get("tool_calls") or ()]
    return [*([{"type": "text", "text": text}] if text or not uses else []), *uses]


def _use(call: Mapping[str, Any]) -> dict[str, Any]:
    found = call_of(call)
    return {"type": "tool_use", "id": call.get("id"), "name": found.name, "input": found.arguments}


def value_of(trace: Trace) -> object:
    """The line of a conversation as a JSON value.

    Args:
        trace: the conversation. Chat messages from elsewhere are mapped block by block: system texts stand beside the
            messages, and answers of tools that follow each other share one user message.

    Returns:
        An object with `messages` and everything that stood beside them.
    """
    beside = fields.beside(trace)
    groups: list[list[Message]] = []
    for message in trace.messages:
        role = message["role"]
        if role in ("system", "developer"):
            content = message["content"] if message.get(_MORE) == "system" else text_of(message.get("content"))
            beside["system"] = content if "system" not in beside else f"{text_of(beside['system'])}\n{text_of(content)}"
        elif message.get(_MORE, role == "tool" and bool(groups) and groups[-1][-1]["role"] == "tool"):
            groups[-1].append(message)
        else:
            groups.append([message])
    return {**beside, "messages": [_written(group) for group in groups]}


def _written(group: Sequence[Message]) -> Message:
    first = group[0]
    plain = isinstance(first.get("content"), str) and not first.get("tool_calls") and first["role"] != "tool"
    return first if plain and _SOURCE not in first and len(group) == 1 else _rebuilt(group)
