"""Traces as a forest and back: one row per message, so that signals and labels name messages.

What a message says is in `text`, the calls it makes are JSON in `call` (an object, or an array of several), what a tool
answered is in `result`; who spoke is in `origin` and, by name, in `extra_text.role`. Fields without a column are JSON
in `extra_text.rest`, those of the whole conversation in `record` of its root. `traces_of` undoes
`forest_of` exactly, but for rewards, which are in single precision, and reads forests that were grown as well: there a
row holds a call and its answer, which become two messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch

from milepost.columns import End, Origin
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.traces.record import ANSWERS, Message, Trace

_ROLE, _REST = "extra_text.role", "extra_text.rest"
_KEPT = ("id", "task", "draw", "rest")


def forest_of(traces: Iterable[Trace]) -> Forest:
    """Build a forest with one tree per trace.

    Args:
        traces: conversations; all of them are held in memory.

    Returns:
        Columns `task`, `record`, `draw` (on roots), `text`, `call`, `result`, `origin`, `end`, `discount`,
        `extra_text.role`, `extra_text.rest`, and on leaves `reward.<name>` with `ok.<name>` and `reason.<name>`.
    """
    rows = _Rows()
    for trace in traces:
        rows.add(trace)
    return rows.forest()


class _Rows:
    """Columns that grow message by message."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.columns: dict[str, list[Any]] = {
            name: []
            for name in ("task", "record", "draw", "text", "call", "result", "origin", "end", "discount", _ROLE, _REST)
        }
        self.rewards: dict[str, dict[int, float | None]] = {}

    def add(self, trace: Trace) -> None:
        start, columns = len(self.parent), self.columns
        parents = trace.parents or range(-1, len(trace.messages) - 1)
        self.parent += [above + start if above >= 0 else -1 for above in parents]
        leaves = set(range(len(trace.messages))) - set(parents)
        for place, (above, message) in enumerate(zip(parents, trace.messages, strict=True)):
            is_root, is_leaf = above < 0, place in leaves
            columns["task"].append((trace.task or trace.id) if is_root else None)
            columns["draw"].append(trace.draw if is_root else None)
            columns["record"].append(_record(trace) if is_root and place == 0 else None)
            columns["end"].append(int(trace.end if is_leaf else End.OPEN))
            columns["discount"].append(0.0 if is_leaf and trace.end is End.TERMINATED else 1.0)
            for name, value in _row(message).items():
                columns[name].append(value)
            if is_leaf:
                for name, value in trace.rewards.items():
                    self.rewards.setdefault(name, {})[start + place] = value

    def forest(self) -> Forest:
        size = len(self.parent)
        columns: dict[str, Any] = dict(self.columns)
        for name, found in self.rewards.items():
            values = [found.get(row) for row in range(size)]
            columns[f"ok.{name}"] = torch.tensor([value is not None for value in values], dtype=torch.bool)
            columns[f"reward.{name}"] = values
            columns[f"reason.{name}"] = [
                "not_run: the record has no number" if value is None and row in found else None
                for row, value in enumerate(values)
            ]
        return Forest.of(self.parent, columns)


def _record(trace: Trace) -> str:
    kept = {"id": trace.id, "task": trace.task, "draw": trace.draw, "rest": trace.rest}
    return _json(kept | ({"branching": True} if trace.parents is not None else {}))


def _row(message: Message) -> dict[str, Any]:
    """Columns of one message; together they hold all of it."""
    role, content = message["role"], message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content", "tool_calls")}
    if not isinstance(content, str) and "content" in message:
        rest["content"] = content
    calls = message.get("tool_calls")
    if not calls and "tool_calls" in message:
        rest["tool_calls"] = calls
    said = content if isinstance(content, str) else None
    answers = role in ANSWERS
    return {
        "text": None if answers else said,
        "result": said if answers else None,
        "call": _json(calls[0] if len(calls) == 1 else calls) if calls else None,
        "origin": int(Origin.POLICY if role == "assistant" else Origin.ENVIRONMENT),
        _ROLE: role,
        _REST: _json(rest) if rest else None,
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def messages_of(forest: Forest) -> list[list[Message]]:
    """Messages of every row, in the shape of chat completions: one, or two where a row holds a call and its answer.

    Args:
        forest: see `traces_of`.

    Returns:
        One list per row; empty for a row without text, call and result.

    Raises:
        FormatError: JSON in a column cannot be read.
    """
    texts = _texts(forest)
    origin = _numbers(forest, "origin")
    return [list[Message](_messages(row, texts, origin[row])) for row in range(len(forest))]


def _texts(forest: Forest) -> dict[str, list[str | None]]:
    wanted = ("task", "record", "text", "call", "result", _ROLE, _REST)
    return {name: forest.text(name) if name in forest else [None] * len(forest) for name in wanted}


def traces_of(forest: Forest) -> Iterator[Trace]:
    """Read the trees of a forest as traces; a tree that branches becomes one trace with `parents`.

    Args:
        forest: one that `forest_of` built, or that was grown with `text`, `call` and `result`.

    Yields:
        One trace per tree, in order of the roots.

    Raises:
        FormatError: JSON in a column cannot be read.
    """
    texts = _texts(forest)
    numbers = {name: _numbers(forest, name) for name in ("origin", "end", "draw")}
    rewards = {name[7:]: _rewards(forest, name[7:]) for name in forest.columns if name.startswith("reward.")}
    root_of: list[int] = forest.root_of().tolist()
    members: dict[int, list[int]] = {}
    for row, root in enumerate(root_of):
        members.setdefault(root, []).append(row)
    parent: list[int] = forest.parent.tolist()
    groups: dict[int, list[int]] = {}
    for root, rows in members.items():  # roots without a record of their own continue the trace before
        if groups and _REST in forest and texts["record"][root] is None:
            groups[next(reversed(groups))] += rows
        else:
            groups[root] = list(rows)
    for rows in groups.values():
        yield _trace(sorted(rows), parent, texts, numbers, rewards)


def _numbers(forest: Forest, name: str) -> list[int]:
    if name not in forest:
        return [0] * len(forest)
    return [int(value) for value in forest[name].where(forest.valid(name), torch.zeros_like(forest[name])).tolist()]


def _rewards(forest: Forest, name: str) -> list[tuple[bool, float | None]]:
    """Of each row, whether the reward was looked at there, and its value."""
    value, ok = forest[f"reward.{name}"].tolist(), forest.valid(f"reward.{name}")
    if f"ok.{name}" in forest:
        ok = ok & forest.valid(f"ok.{name}") & forest[f"ok.{name}"]
    reasons = forest.text(f"reason.{name}") if f"reason.{name}" in forest else [None] * len(forest)
    pairs = zip(ok.tolist(), value, reasons, strict=True)
    return [(fine or reason is not None, one if fine else None) for fine, one, reason in pairs]


def _trace(
    rows: Sequence[int],
    parent: Sequence[int],
    texts: Mapping[str, Sequence[str | None]],
    numbers: Mapping[str, Sequence[int]],
    rewards: Mapping[str, Sequence[tuple[bool, float | None]]],
) -> Trace:
    root = rows[0]
    messages: list[Message] = []
    parents: list[int] = []
    last: dict[int, int] = {}
    for row in rows:
        above = last[parent[row]] if parent[row] >= 0 else -1
        for message in _messages(row, texts, numbers["origin"][row]):
            parents.append(above)
            above = len(messages)
            messages.append(message)
        last[row] = above
    kept = _kept(texts["record"][root])
    straight = parents == list(range(-1, len(parents) - 1)) and not kept.get("branching")
    leaves = [row for row in rows if numbers["end"][row] != int(End.OPEN)]
    scored = {
        name: value
        for name, found in rewards.items()
        for looked, value in [next((found[row] for row in leaves if found[row][0]), (False, None))]
        if looked
    }
    return Trace(
        id=str(kept.get("id", texts["task"][root] or str(root))),
        messages=messages,
        parents=None if straight else parents,
        task=str(kept.get("task", texts["task"][root] or "")),
        draw=numbers["draw"][root],
        end=End(numbers["end"][leaves[0]]) if leaves else End.OPEN,
        rewards=scored,
        rest=cast("dict[str, Any]", kept.get("rest", {})),
    )


def _kept(text: str | None) -> dict[str, Any]:
    """What `forest_of` kept of a conversation; nothing for the record of a task."""
    found = _parsed(text) if text else {}
    return found if isinstance(found, dict) and all(name in found for name in _KEPT) else {}


def _messages(row: int, texts: Mapping[str, Sequence[str | None]], origin: int) -> list[dict[str, Any]]:
    said, called, answered = texts["text"][row], texts["call"][row], texts["result"][row]
    role = texts[_ROLE][row]
    if role is None:  # a grown row: the policy's step, and what the environment answered
        own = "assistant" if origin == int(Origin.POLICY) else "user"
        spoken = [{"role": own, "content": said, **_calls(called)}] if said is not None or called else []
        return [*spoken, *([{"role": "tool", "content": answered}] if answered is not None else [])]
    rest = _parsed(texts[_REST][row] or "{}")
    content = answered if role in ANSWERS else said
    written = {} if content is None else {"content": content}
    return [{"role": role, **written, **_calls(called), **rest}]


def _calls(called: str | None) -> dict[str, Any]:
    if called is None:
        return {}
    found = _parsed(called)
    return {"tool_calls": found if isinstance(found, list) else [found]}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise FormatError(f"A column holds text that is no JSON: {error}. Received: {text[:60]!r}.") from error
