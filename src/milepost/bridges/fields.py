"""Fields that formats share: ids, rewards, and what is written beside messages that came from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from milepost.traces.record import Trace

BARE = "milepost.bare"
"""Marks a line that was a bare array of messages."""


def text(record: Mapping[str, Any], *names: str) -> str:
    """The first of the named fields that holds text or a whole number, as text; "" where none does."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def number(value: object) -> float | None:
    """A finite number as such; None for everything else, truth values included as 0 and 1."""
    if isinstance(value, (bool, int, float)):
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
    return None


def rewards(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Rewards in a record: the numbers under "reward" (named "outcome") and in an object "rewards"."""
    found: dict[str, float | None] = {}
    if "reward" in record:
        found["outcome"] = number(record["reward"])
    named = record.get("rewards")
    if isinstance(named, dict):
        for name, value in cast("dict[str, object]", named).items():
            if value is None or number(value) is not None:
                found[clean(name)] = number(value)
    return found


def clean(name: str) -> str:
    """A name fit for a column: letters, digits, "_" and "-"; all else becomes "_"."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in name) or "_"


def named(record: Mapping[str, Any]) -> str:
    """Names of the first fields of a record, for messages."""
    names = [name if len(name) <= 24 else f"{name[:24]}..." for name in list(record)[:6]]
    return ", ".join(names) if names else "none"


def beside(trace: Trace) -> dict[str, Any]:
    """What stands beside the messages of a conversation: what was read, and its id, task and rewards where that does
    not say them, as in a conversation that comes from another format or from a forest.
    """
    found = dict(trace.rest)
    if text(found, "id") != trace.id and not trace.id.isdigit():
        found["id"] = trace.id
    if text(found, "task_id") != trace.task:
        found["task_id"] = trace.task
    if rewards(found) != dict(trace.rewards):
        found["rewards"] = dict(trace.rewards)
    return found
