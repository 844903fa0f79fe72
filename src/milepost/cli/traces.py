"""`milepost show` and `milepost report` of what `milepost triage` wrote."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from milepost.cli import output
from milepost.errors import SettingError
from milepost.report.traces import lines, source, table
from milepost.report.traces.table import Row, Signal
from milepost.traces.record import Fault


def show(folder: Path, *, signal: str, every: bool, most: int, as_json: bool) -> int:
    """List the conversations of a triage by falling score.

    Args:
        folder: of the triage.
        signal: only those with it; "" for any.
        every: also those that were not kept.
        most: how many.
        as_json: print a JSON object.

    Returns:
        The exit code.

    Raises:
        SettingError: `most` is below 1.
    """
    if most < 1:
        raise SettingError(f"--most {most} lists nothing: give at least 1.")
    table.check_kind(signal)
    counts, found = table.overview(folder), table.listed(folder, signal=signal, kept=not every, most=most)
    if as_json:
        head = {"triage": str(folder), "traces": counts.traces, "kept": counts.kept, "sentinels": counts.sentinels}
        kinds = {kind: {"traces": n, "kept": kept} for kind, (n, kept) in counts.kinds.items()}
        output.document({**head, "signals": kinds, "listed": [_row(one) for one in found]})
    else:
        output.say("\n".join(lines.list_lines(folder, counts, found, signal)))
    return output.DONE


def show_one(folder: Path, number: int, given: Path | None, *, as_json: bool) -> int:
    """Show a conversation with its signals, and why it was chosen; exit code 1 when it cannot be read any more.

    Args:
        folder: of the triage.
        number: of its row.
        given: where the conversations are; None: beside the triage.
        as_json: print a JSON object.

    Returns:
        The exit code.
    """
    (row,) = table.rows(folder, [number])
    signals = table.signals_of(folder, row)
    (_, trace), *_ = source.conversations(source.source_of(folder, given), [row])
    said = trace if isinstance(trace, Fault) else source.said(trace)
    if as_json:
        messages = [] if isinstance(said, Fault) else [vars_of(one) for one in said]
        fault = said.reason if isinstance(said, Fault) else ""
        found = {**_row(row), "fault": fault, "messages": messages, "found": [_signal(one) for one in signals]}
        output.document(found)
    else:
        output.say("\n".join(lines.conversation_lines(row, said, signals)))
    return output.FOUND if isinstance(said, Fault) else output.DONE


def report(folder: Path, out: Path | None, given: Path | None, *, as_json: bool) -> int:
    """Write the pages of a triage.

    Args:
        folder: of the triage.
        out: folder for the pages; None: "pages" in the triage's folder.
        given: where the conversations are; None: beside the triage.
        as_json: print a JSON object.

    Returns:
        The exit code.
    """
    from milepost import optional

    optional.load("jinja2", extra="report", purpose="The HTML report")
    from milepost.report.traces import pages

    begun = time.perf_counter()
    first = pages.write(folder, out or folder / "pages", given)
    made = list(first.parent.glob("*.html"))
    size = sum(path.stat().st_size for path in made)
    if as_json:
        output.document({"report": str(first), "pages": len(made), "bytes": size})
    else:
        output.say(f"report: {first} ({len(made)} pages, {size / 1e6:.1f} MB, {time.perf_counter() - begun:.0f} s)")
    return output.DONE


def _row(row: Row) -> dict[str, Any]:
    return {"row": row.number, "why": table.why(row), **row.value}


def _signal(one: Signal) -> dict[str, Any]:
    return {"message": one.message, "signal": one.kind, "confidence": one.confidence, "snippet": one.snippet}


def vars_of(one: source.Said) -> dict[str, Any]:
    """A message as data."""
    return {"message": one.number, "role": one.role, "text": one.text, "calls": list(one.calls)}
