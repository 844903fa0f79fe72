"""A triage as linked pages: an overview, lists by signal, and the kept conversations, a few to a page.

Pages are split so that each opens at once, however many conversations there are. Nothing runs in them, and every string
that came from a file is escaped where it becomes markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from milepost import checks
from milepost.curation.signals.taxonomy import GROUPS, LAYERS
from milepost.report import markup
from milepost.report.page import save
from milepost.report.traces import source as sources
from milepost.report.traces import table
from milepost.report.traces.table import Overview, Row, Signal
from milepost.traces.record import Fault

INDEX = "index.html"
LISTED = "kept"
"""Name of the list of all that is kept."""
_LONG = 4000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the pages are split."""

    most: int = 2000
    """Conversations that are written out, those of the highest score; a list names as many."""
    rows: int = 200
    """Of a list on one page."""
    conversations: int = 20
    """On one page."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("most", "rows", "conversations"):
            checks.at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True)
class _Writer:
    folder: Path
    title: str
    layout: Layout
    templates: Any
    style: Markup

    def write(self, file: str, template: str, **values: Any) -> Path:
        """Write one page."""
        text = self.templates.get_template(template).render(
            title=self.title, style=self.style, filters=Markup(""), **values
        )
        return save(text, self.folder / file)


def write(folder: Path, out: Path, source: Path | None = None, layout: Layout | None = None) -> Path:
    """Write the pages of a triage.

    Args:
        folder: what `milepost triage` wrote.
        out: the folder for the pages; made if needed.
        source: the conversations; by default beside the triage.
        layout: how they are split; None: as by default.

    Returns:
        The first page.

    Raises:
        SettingError: the conversations are not where they were.
        MissingExtra: jinja2 is not installed.
    """
    plan = layout or Layout()
    found, counts = sources.source_of(folder, source), table.overview(folder)
    writer = _Writer(folder=out, title=folder.name, layout=plan, templates=markup.environment(), style=markup.style())
    kept = table.listed(folder, most=plan.most)
    home = _conversations(writer, folder, found, kept)
    lists = {LISTED: kept}
    lists |= {
        kind: table.listed(folder, signal=kind, kept=False, most=plan.most)
        for kind, (n, _) in counts.kinds.items()
        if n
    }
    for name, rows in lists.items():
        _list(writer, name, rows, counts, home)
    return writer.write(
        INDEX,
        "traces_index.html.jinja",
        counts=counts,
        layers=_layers(counts),
        first=kept[: min(20, len(kept))],
        home=home,
        shown=len(kept),
        list_name=_list_name,
        why=table.why,
    )


def _layers(counts: Overview) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "group": group, "kind": kind, "found": counts.kinds[kind][0], "kept": counts.kinds[kind][1]}
        for layer, groups in LAYERS.items()
        for group in groups
        for kind in GROUPS[group]
        if counts.kinds[kind][0]
    ]


def _list_name(name: str, page: int = 1) -> str:
    return f"list-{name}-{page:04d}.html"


def _list(writer: _Writer, name: str, rows: Sequence[Row], counts: Overview, home: Mapping[int, str]) -> None:
    pages = [rows[first : first + writer.layout.rows] for first in range(0, len(rows), writer.layout.rows)] or [[]]
    whole = counts.kept if name == LISTED else counts.kinds[name][0]
    for number, page in enumerate(pages, 1):
        writer.write(
            _list_name(name, number),
            "traces_list.html.jinja",
            name=name,
            rows=page,
            number=number,
            pages=len(pages),
            shown=len(rows),
            whole=whole,
            home=home,
            list_name=_list_name,
            why=table.why,
        )


def _conversations(writer: _Writer, folder: Path, source: Path, kept: Sequence[Row]) -> dict[int, str]:
    """Write conversations out; where each of them stands, by the number of its row."""
    home: dict[int, str] = {}
    size = writer.layout.conversations
    for number, first in enumerate(range(0, len(kept), size), 1):
        page = kept[first : first + size]
        name = f"traces-{number:05d}.html"
        home |= {row.number: f"{name}#t{row.number}" for row in page}
        signals = table.signals_by_line(folder, list(page))
        found = {row.number: trace for row, trace in sources.conversations(source, page)}
        shown = [
            _shown(row, found[row.number], signals.get((row.value["file"], row.value["line"]), [])) for row in page
        ]
        last = -(-len(kept) // size)
        writer.write(name, "traces_page.html.jinja", shown=shown, number=number, pages=last, why=table.why)
    return home


def _shown(row: Row, trace: Any, signals: Sequence[Signal]) -> dict[str, Any]:
    if isinstance(trace, Fault):
        return {"row": row, "fault": trace.reason, "messages": []}
    at: dict[int, list[Signal]] = {}
    for one in signals:
        at.setdefault(one.message, []).append(one)
    messages = [
        {
            "said": one,
            "text": one.text[:_LONG],
            "more": max(0, len(one.text) - _LONG),
            "signals": at.get(one.number, []),
        }
        for one in sources.said(trace)
    ]
    return {"row": row, "fault": "", "messages": messages}
