"""A triage, or one of its conversations, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from milepost.report.literal import one_line, visible
from milepost.report.traces.source import Said
from milepost.report.traces.table import Overview, Row, Signal, why
from milepost.traces.record import Fault

WIDTH = 100
_LONG = 1200


def list_lines(folder: Path, counts: Overview, found: Sequence[Row], signal: str) -> list[str]:
    """An overview and the first conversations.

    Args:
        folder: of the triage.
        counts: of it.
        found: conversations to list.
        signal: what they were filtered by; "" for nothing.

    Returns:
        Lines.
    """
    head = (
        f"{folder}: {counts.traces} conversations, {counts.kept} kept, {counts.sentinels} of them drawn uniformly, "
        f"{counts.duplicates} near duplicates"
    )
    lines = [head, "", f"{'signal':<20}{'found in':>10}{'kept':>8}"]
    lines += [f"{kind:<20}{all_:>10}{kept:>8}" for kind, (all_, kept) in counts.kinds.items() if all_]
    lines += ["", f"highest scores{f' with {signal}' if signal else ''}:"]
    for row in found:
        where = f"{row.value['file']}:{row.value['line']}"
        lines.append(
            f"  #{row.number:<7} {row.value['score']:>3}  {'kept' if row.value['keep'] else '    '}  "
            f"{one_line(where, 32):<32}  {one_line(', '.join(row.kinds) or 'no signal', WIDTH - 52)}"
        )
    lines += ["  none"] if not found else []
    lines += ["", f"Next: milepost show {folder}#{found[0].number if found else 0}"]
    return lines


def conversation_lines(row: Row, said: Sequence[Said] | Fault, signals: Sequence[Signal]) -> list[str]:
    """One conversation, with its signals where they stand.

    Args:
        row: of the table.
        said: its messages, or why there are none.
        signals: of it.

    Returns:
        Lines.
    """
    value = row.value
    head = [
        f"#{row.number}  {visible(value['file'])}:{value['line']}  id {one_line(str(value['id']), 40)}"
        + (f"  task {one_line(value['task'], 40)}" if value["task"] else ""),
        f"why: {why(row)}",
        "",
    ]
    if isinstance(said, Fault):
        return [*head, f"The conversation cannot be shown: {visible(said.reason)}"]
    at: dict[int, list[Signal]] = {}
    for one in signals:
        at.setdefault(one.message, []).append(one)
    lines: list[str] = []
    for one in said:
        text = visible(one.text if len(one.text) <= _LONG else one.text[:_LONG] + f" ... {len(one.text) - _LONG} more")
        lines.append(
            f"{one.number:>4}  {visible(one.role)}: {text}"
            if text or not one.calls
            else f"{one.number:>4}  {visible(one.role)}:"
        )
        lines += [f"      -> {one_line(call, WIDTH)}" for call in one.calls]
        lines += [
            f"      ** {told.kind} ({told.confidence:.2f}): {one_line(told.snippet, WIDTH)}"
            for told in at.get(one.number, ())
        ]
    return [*head, *lines]
