"""Attributes of OpenTelemetry spans: from OTLP's typed values to plain ones, and the messages in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from milepost.bridges.lines import parser
from milepost.traces.record import Message

_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(\w+)(?:\.(\d{1,3})\.(\w+))?")
_DEEPEST = 32


def attributes_of(raw: object) -> dict[str, Any]:
    """Attributes of a span by name.

    Args:
        raw: OTLP's array of {"key", "value": {"stringValue": ...}}, or an object of plain values.

    Returns:
        Name to plain value.

    Raises:
        ValueError: a value is nested too deeply.
        KeyError: an entry has no key.
    """
    if isinstance(raw, list):
        return {str(one["key"]): plain(one.get("value"), depth=0) for one in cast("list[dict[str, Any]]", raw)}
    return dict(cast("dict[str, Any]", raw)) if isinstance(raw, dict) else {}


def plain(value: object, *, depth: int) -> Any:
    """A value of OTLP as a plain one; `depth` counts the nesting, and ValueError is raised beyond 32."""
    if depth > _DEEPEST:
        raise ValueError("values are nested too deeply")
    if not isinstance(value, dict):
        return value
    typed = cast("dict[str, Any]", value)
    for name in ("stringValue", "boolValue", "doubleValue"):
        if name in typed:
            return typed[name]
    if "intValue" in typed:
        return int(typed["intValue"])
    if "arrayValue" in typed:
        return [plain(one, depth=depth + 1) for one in (typed["arrayValue"] or {}).get("values", ())]
    if "kvlistValue" in typed:
        entries = (typed["kvlistValue"] or {}).get("values", ())
        return {str(one["key"]): plain(one.get("value"), depth=depth + 1) for one in entries}
    return None


def messages_of(attributes: Mapping[str, Any]) -> list[Message]:
    """Chat messages in the attributes of a span.

    Args:
        attributes: name to plain value.

    Returns:
        System instructions, input and output, in order; empty for a span that is no call of a model.

    Raises:
        ValueError: an attribute that should be JSON is none.
        TypeError: a message is no object.
    """
    asked, answered = _listed(attributes, "gen_ai.input.messages"), _listed(attributes, "gen_ai.output.messages")
    if asked or answered:
        system = _listed(attributes, "gen_ai.system_instructions")
        found: list[Message] = [{"role": "system", "content": _text(system)}] if system else []
        for message in (*asked, *answered):
            found += _chat(message)
        return found
    return _numbered(attributes)


def _listed(attributes: Mapping[str, Any], name: str) -> list[Any]:
    value = attributes.get(name)
    if isinstance(value, str):
        value = parser()(value.encode("utf-8", "surrogatepass"))
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(parts: Sequence[Any]) -> str:
    texts = [part.get("content") for part in parts if isinstance(part, dict) and part.get("type", "text") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _chat(message: object) -> list[Message]:
    """One message with parts as chat messages: text and calls together, each answer of a tool on its own."""
    if not isinstance(message, dict):
        raise TypeError("a message is no object")
    raw = cast("dict[str, Any]", message)
    role, parts = raw.get("role", "assistant"), raw.get("parts")
    if not isinstance(parts, list):
        return [raw]
    known = [cast("dict[str, Any]", part) for part in cast("list[Any]", parts) if isinstance(part, dict)]
    made: list[Message] = []
    for part in known:
        if part.get("type") == "tool_call_response":
            answer = part.get("response", part.get("result"))
            content = answer if isinstance(answer, str) else _dumped(answer)
            made.append({"role": "tool", "tool_call_id": part.get("id"), "content": content})
    calls = [
        {"id": part.get("id"), "name": part["name"], "arguments": part.get("arguments")}
        for part in known
        if part.get("type") == "tool_call"
    ]
    text = _text(known)
    if text or calls or not made:
        made.append({"role": role, "content": text or None} | ({"tool_calls": calls} if calls else {}))
    return made


def _dumped(value: object) -> str | None:
    if value is None:
        return None
    from milepost.optional import load

    return load("orjson", extra="traces", purpose="Reading traces").dumps(value).decode()


def _numbered(attributes: Mapping[str, Any]) -> list[Message]:
    """Messages from `gen_ai.prompt.0.role`, `gen_ai.completion.0.tool_calls.0.name` and the like."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    calls: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for name, value in attributes.items():
        match = _NUMBERED.fullmatch(name)
        if match is None:
            continue
        place = (match[1], int(match[2]))
        if match[3] == "tool_calls" and match[4] is not None:
            calls.setdefault(place, {}).setdefault(int(match[4]), {})[match[5]] = value
        elif match[4] is None:
            found.setdefault(place, {})[match[3]] = value
    messages: list[Message] = []
    for place in sorted({*found, *calls}, key=lambda one: (one[0] != "prompt", one[1])):
        own = found.get(place, {})
        made = {**own, "role": own.get("role", "assistant"), "content": own.get("content")}
        if place in calls:
            made["tool_calls"] = [call for _, call in sorted(calls[place].items())]
        messages.append(made)
    return messages
