"""Result files of tau2: one JSON document with an array "simulations"; read one simulation at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from milepost.bridges import fields
from milepost.bridges.lines import RECORD_BYTES, elements
from milepost.columns import End
from milepost.traces.record import Fault, Message, Trace, wrong_with

_ENDS = {
    "user_stop": End.TERMINATED,
    "agent_stop": End.TERMINATED,
    "judge_stop": End.TERMINATED,
    "max_steps": End.TURN_LIMIT,
    "timeout": End.TIME_LIMIT,
    "too_many_errors": End.ERROR,
    "agent_error": End.ERROR,
    "user_error": End.ERROR,
    "infrastructure_error": End.ERROR,
}


def read(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read the simulations of a result file.

    The reward of a simulation is "outcome". Calls of the simulated user (`requestor`) stay in its messages.

    Args:
        path: the file.
        limit: longest simulation in bytes.

    Yields:
        Each simulation, or what is wrong with it.

    Raises:
        OSError: the file cannot be opened.
    """
    for record in elements(path, "simulations", limit=limit):
        yield record if isinstance(record, Fault) else _trace(record.value, path.name, record.line)


def _trace(value: object, file: str, line: int) -> Trace | Fault:
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the simulation is no object")
    rest = dict(cast("dict[str, Any]", value))
    messages = _flat(rest.pop("messages", None))
    wrong = wrong_with(messages)
    if wrong:
        return Fault(file=file, line=line, reason=wrong)
    reason = str(rest.get("termination_reason"))
    found = rest.get("reward_info")
    reward = cast("dict[str, Any]", found).get("reward") if isinstance(found, dict) else None
    trial = rest.get("trial")
    return Trace(
        id=fields.text(rest, "id") or str(line),
        messages=messages,
        task=fields.text(rest, "task_id"),
        draw=trial if isinstance(trial, int) else 0,
        end=_ENDS.get(reason, End.VOID),
        rewards={"outcome": fields.number(reward)},
        rest=rest,
    )


def _flat(messages: Any) -> Any:
    """Messages with the answers of parallel calls one by one; they stand in one message "tool_messages"."""
    if not isinstance(messages, list):
        return messages
    flat: list[Message] = []
    for message in cast("list[Any]", messages):
        several: Any = cast("Mapping[str, Any]", message).get("tool_messages") if isinstance(message, dict) else None
        flat += several if isinstance(several, list) else [message]
    return flat
