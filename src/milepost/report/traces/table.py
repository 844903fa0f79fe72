"""The tables of a triage, read in batches: which conversations, in which order, and why each was chosen."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from milepost.curation.selection.rules import WEIGHTS
from milepost.curation.signals.taxonomy import GROUPS, KINDS
from milepost.errors import UnknownName, unknown_name

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, kw_only=True)
class Row:
    """A conversation in the table."""

    number: int
    """Of the row, from 0: what `milepost show FOLDER#number` opens."""
    value: Mapping[str, Any]

    @property
    def kinds(self) -> list[str]:
        """Kinds of signal found in it, with how often where more than once."""
        counts = [(kind, self.value[f"signal.{kind}"]) for kind in KINDS]
        return [kind if count == 1 else f"{kind} x{count}" for kind, count in counts if count]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A signal at a message."""

    message: int
    kind: str
    confidence: float
    snippet: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Counts of a triage."""

    traces: int
    kept: int
    sentinels: int
    duplicates: int
    kinds: Mapping[str, tuple[int, int]]
    """Kind to the conversations with it, and those of them that are kept."""


def is_triage(folder: Path) -> bool:
    """Whether a folder is what `milepost triage` wrote."""
    return (folder / "traces.parquet").is_file() and (folder / "signals.parquet").is_file()


def check_kind(kind: str) -> None:
    """Check the name of a signal.

    Args:
        kind: a name, or "" for any.

    Raises:
        UnknownName: there is no such signal.
    """
    if kind and kind not in KINDS:
        raise unknown_name("signal", kind, KINDS)


def overview(folder: Path) -> Overview:
    """Count; memory does not depend on how many there are.

    Args:
        folder: of a triage.

    Returns:
        The counts.
    """
    columns = ["keep", "sentinel", "duplicate_of", *(f"signal.{kind}" for kind in KINDS)]
    traces = kept = sentinels = duplicates = 0
    present, both = np.zeros(len(KINDS), dtype=np.int64), np.zeros(len(KINDS), dtype=np.int64)
    for _, batch in _batches(folder, columns):
        keep = batch.column("keep").to_numpy(zero_copy_only=False)
        counts = np.stack([batch.column(f"signal.{kind}").to_numpy() > 0 for kind in KINDS], axis=1)
        traces, kept = traces + len(batch), kept + int(keep.sum())
        sentinels += int(batch.column("sentinel").to_numpy(zero_copy_only=False).sum())
        duplicates += len(batch) - batch.column("duplicate_of").null_count
        present, both = present + counts.sum(axis=0), both + counts[keep].sum(axis=0)
    kinds = {kind: (int(present[n]), int(both[n])) for n, kind in enumerate(KINDS)}
    return Overview(traces=traces, kept=kept, sentinels=sentinels, duplicates=duplicates, kinds=kinds)


def listed(folder: Path, *, signal: str = "", kept: bool = True, most: int = 20) -> list[Row]:
    """Conversations by falling score, equals in the order of the files.

    Args:
        folder: of a triage.
        signal: only those with this kind; "" takes any.
        kept: only those that were kept.
        most: how many.

    Returns:
        The rows.

    Raises:
        UnknownName: there is no such signal.
    """
    check_kind(signal)
    best: list[tuple[int, int]] = []
    for start, batch in _batches(folder, ["keep", "score", *([f"signal.{signal}"] if signal else [])]):
        wanted = batch.column("keep") if kept else pa.array(np.ones(len(batch), dtype=bool))
        if signal:
            wanted = pc.and_(wanted, pc.greater(batch.column(f"signal.{signal}"), 0))
        place = np.flatnonzero(wanted.to_numpy(zero_copy_only=False))
        score = batch.column("score").to_numpy()[place]
        found = ((int(one), -(start + int(row))) for one, row in zip(score, place, strict=True))
        best = heapq.nlargest(most, (*best, *found))
    return rows(folder, [-number for _, number in best])


def rows(folder: Path, numbers: list[int]) -> list[Row]:
    """Conversations by their numbers, in the given order.

    Args:
        folder: of a triage.
        numbers: of rows, from 0.

    Returns:
        The rows.

    Raises:
        UnknownName: there is no such row.
    """
    wanted, found = np.array(sorted(set(numbers)), dtype=np.int64), dict[int, Row]()
    for start, batch in _batches(folder, None):
        mine = wanted[(wanted >= start) & (wanted < start + len(batch))]
        for number, value in zip(mine.tolist(), batch.take(pa.array(mine - start)).to_pylist(), strict=True):
            found[number] = Row(number=number, value=value)
    lacking = [number for number in numbers if number not in found]
    if lacking:
        raise UnknownName(f"{folder} has no conversation {lacking[0]}: see `milepost show {folder}`.")
    return [found[number] for number in numbers]


def signals_of(folder: Path, wanted: Row) -> list[Signal]:
    """Signals of a conversation, in the order of its messages.

    Args:
        folder: of a triage.
        wanted: its row.

    Returns:
        The signals.
    """
    return signals_by_line(folder, [wanted]).get((wanted.value["file"], wanted.value["line"]), [])


def signals_by_line(folder: Path, wanted: list[Row]) -> dict[tuple[str, int], list[Signal]]:
    """Signals of several conversations, in one pass.

    Args:
        folder: of a triage.
        wanted: rows.

    Returns:
        Signals by file and line.
    """
    places = {(one.value["file"], one.value["line"]) for one in wanted}
    lines = pa.array(sorted({line for _, line in places}), type=pa.int64())
    found: dict[tuple[str, int], list[Signal]] = {}
    with pq.ParquetFile(folder / "signals.parquet") as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            chosen = batch.filter(pc.is_in(batch.column("line"), value_set=lines))
            for one in chosen.to_pylist():
                place = (one["file"], one["line"])
                if place in places:
                    told = Signal(
                        message=one["message"],
                        kind=one["signal"],
                        confidence=one["confidence"],
                        snippet=one["snippet"] or "",
                    )
                    found.setdefault(place, []).append(told)
    return {place: sorted(told, key=lambda one: (one.message, one.kind)) for place, told in found.items()}


def why(row: Row) -> str:
    """Why a conversation was chosen or not, in a sentence.

    Args:
        row: of the table.

    Returns:
        The score with its parts, and how likely it was to be kept.
    """
    value = row.value
    parts = [
        f"{group} {value[f'severity.{group}']} x {WEIGHTS[group]}"
        for group in GROUPS
        if value[f"severity.{group}"] and WEIGHTS[group]
    ]
    score = f"score {value['score']}" + (f" ({' + '.join(parts)})" if parts else ", no signal that counts")
    chance = f"kept with probability {value['inclusion']:.3g}"
    if value["duplicate_of"] is not None:
        score = f"near duplicate of #{value['duplicate_of']}; {score}"
    if not value["keep"]:
        return f"not kept: {score}; it would have been {chance}"
    drawn = "drawn uniformly as a sentinel; " if value["sentinel"] else ""
    return f"{drawn}{score}; {chance}"


def _batches(folder: Path, columns: list[str] | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    with pq.ParquetFile(folder / "traces.parquet") as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
            yield start, batch
            start += len(batch)
