"""Traces of verifiers (`traces.jsonl`): a graph of messages with token ids, masks, log-probabilities and advantages.

A line is one trace, or an episode that holds several under "traces". A node without its message stays in the
field `node` of the message, tokens and all, so that `value_of` writes the trace that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from milepost.bridges import fields
from milepost.bridges.lines import RECORD_BYTES, records
from milepost.columns import End
from milepost.traces.record import Fault, Trace, wrong_with

NODE = "node"
"""Field of a message that holds its node without parent and message: tokens, masks, log-probabilities and the like."""


def read(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read traces from JSON lines.

    Args:
        path: the file.
        limit: longest line in bytes.

    Yields:
        Each trace, or what is wrong with its line.

    Raises:
        OSError: the file cannot be opened.
    """
    for record in records(path, limit=limit):
        if isinstance(record, Fault):
            yield record
            continue
        several: Any = cast("dict[str, Any]", record.value).get("traces") if isinstance(record.value, dict) else None
        for value in cast("list[Any]", several) if isinstance(several, list) else [record.value]:
            yield of_value(value, path.name, record.line)


def of_value(value: object, file: str, line: int) -> Trace | Fault:
    """One trace from a parsed line.

    Args:
        value: the parsed line.
        file: name of the file, for faults.
        line: number of the line.

    Returns:
        The trace, or what is wrong with it.
    """
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the line is no object")
    rest = dict(cast("dict[str, Any]", value))
    nodes = rest.pop("nodes", None)
    if not isinstance(nodes, list) or not nodes:
        return Fault(file=file, line=line, reason=f"no nodes; the fields are {fields.named(rest)}")
    messages: list[dict[str, Any]] = []
    parents: list[int] = []
    for number, node in enumerate(cast("list[Any]", nodes)):
        wrong = _wrong_node(node, number)
        if wrong:
            return Fault(file=file, line=line, reason=f"node {number} {wrong}")
        parents.append(-1 if node.get("parent") is None else int(node["parent"]))
        beside = {name: one for name, one in node.items() if name not in ("message", "parent")}
        messages.append({**node["message"], NODE: beside})
    wrong = wrong_with(messages)
    if wrong:
        return Fault(file=file, line=line, reason=wrong)
    task = rest.get("task")
    inner = cast("dict[str, Any]", task) if isinstance(task, dict) else {}
    return Trace(
        id=fields.text(rest, "id") or str(line),
        messages=messages,
        parents=None if parents == list(range(-1, len(parents) - 1)) else parents,
        task=fields.text(inner, "key", "hash"),
        end=_end(rest),
        rewards=_rewards(rest.get("rewards")),
        rest=rest,
    )


def _wrong_node(node: object, number: int) -> str:
    if not isinstance(node, dict) or not isinstance(cast("dict[str, Any]", node).get("message"), dict):
        return "has no message"
    fields_of = cast("dict[str, Any]", node)
    parent = fields_of.get("parent")
    if parent is not None and (isinstance(parent, bool) or not isinstance(parent, int) or not 0 <= parent < number):
        return f"has the parent {str(parent)[:20]}, expected a node before it"
    tokens, mask = fields_of.get("token_ids") or [], fields_of.get("mask") or []
    if not isinstance(tokens, list) or not isinstance(mask, list) or len(tokens) != len(mask):
        return "has a mask that does not pair with its tokens"
    return ""


def _end(rest: Mapping[str, Any]) -> End:
    if rest.get("is_timeout"):
        return End.TIME_LIMIT
    if rest.get("errors"):
        return End.ERROR
    known = {"max_turns": End.TURN_LIMIT, "max_total_tokens": End.TOKEN_LIMIT, "context_length": End.TOKEN_LIMIT}
    return known.get(str(rest.get("stop_condition")), End.TERMINATED)


def _rewards(found: object) -> dict[str, float | None]:
    """Scores by name, and under "outcome" their weighted sum where all of them are known."""
    if not isinstance(found, dict):
        return {}
    rewards: dict[str, float | None] = {}
    weighted: list[float | None] = []
    for name, one in cast("dict[str, Any]", found).items():
        entry = cast("dict[str, Any]", one) if isinstance(one, dict) else {"score": one}
        score, weight = fields.number(entry.get("score")), fields.number(entry.get("weight", 1.0))
        rewards[fields.clean(name)] = score
        weighted.append(None if score is None or weight is None else score * weight)
    known = [one for one in weighted if one is not None]
    return rewards | {"outcome": sum(known) if known and len(known) == len(weighted) else None}


def value_of(trace: Trace) -> object:
    """The line of a trace as a JSON value.

    Args:
        trace: one that `read` made, or any other, whose messages become nodes without tokens.

    Returns:
        A trace in verifiers' schema: every field that was read, and the graph of its messages.
    """
    parents = trace.parents or range(-1, len(trace.messages) - 1)
    nodes: list[dict[str, Any]] = []
    for above, message in zip(parents, trace.messages, strict=True):
        said = {name: one for name, one in message.items() if name != NODE}
        own: dict[str, Any] = dict(message.get(NODE) or {"sampled": message["role"] == "assistant"})
        nodes.append({**own, "parent": None if above < 0 else above, "message": said})
    return {**(dict(trace.rest) or fields.beside(trace)), "nodes": nodes}
