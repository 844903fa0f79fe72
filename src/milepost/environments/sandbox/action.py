"""What an agent does in a sandbox: one call of a tool, or one thing said to the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from milepost.environments.action import MALFORMED, parse

CALL, SAY = "call", "say"
STOP = (f"</{CALL}>", f"</{SAY}>")
INSTRUCTION = (
    "In each turn, write one of these and nothing after it: "
    '<call>{"name": "...", "arguments": {...}}</call> to use a tool, or <say>...</say> to talk to the user.'
)


@dataclass(frozen=True, kw_only=True)
class Act:
    """One step of the agent taken apart."""

    kind: str
    """"call", "say" or "malformed"."""
    text: str = ""
    """What is said."""
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thought: str = ""
    """What stands before it; the whole text of a malformed one."""
    fault: str = ""
    """What is wrong with a malformed one."""


def read(text: str) -> Act:
    """Read one step.

    Args:
        text: what the policy wrote.

    Returns:
        The act. Where it is malformed, `fault` is a fault of `environments.action`, or "not_json", "not_a_call".

    Example:
        >>> read('Look. <call>{"name": "find", "arguments": {"zip": "1"}}</call>').arguments
        {'zip': '1'}
        >>> read("<call>find()</call>").fault
        'not_json'
    """
    parsed = parse(text, (CALL, SAY))
    if parsed.kind == MALFORMED:
        return Act(kind=MALFORMED, thought=parsed.thought, fault=parsed.fault)
    if parsed.kind == SAY:
        return Act(kind=SAY, text=parsed.content, thought=parsed.thought)
    try:
        found: object = json.loads(parsed.content)
    except (ValueError, RecursionError):
        return Act(kind=MALFORMED, thought=text.strip(), fault="not_json")
    call = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    name, arguments = call.get("name"), call.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return Act(kind=MALFORMED, thought=text.strip(), fault="not_a_call")
    return Act(kind=CALL, tool=name, arguments=cast("dict[str, Any]", arguments), thought=parsed.thought)


def written(tool: str, arguments: Mapping[str, Any]) -> str:
    """A call as an agent writes it."""
    return f"<{CALL}>{json.dumps({'name': tool, 'arguments': arguments}, ensure_ascii=False)}</{CALL}>"


def spoken(text: str) -> str:
    """Words to the user as an agent writes them."""
    return f"<{SAY}>{text}</{SAY}>"
