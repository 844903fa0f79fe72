"""First pass: signals of every conversation of a file, or of a range of its bytes, as a table on disk.

Batches of a few megabytes are parsed, laid flat, searched and written; nothing else stays in memory. A file of lines
is cut into ranges, which are read side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from milepost.bridges import formats
from milepost.bridges.lines import RECORD_BYTES, OfValue, Parse, not_json, parser, raw_lines
from milepost.curation.selection.duplicates import HASHES, signatures
from milepost.curation.signals.detect import detect
from milepost.curation.signals.flat import Batch
from milepost.curation.signals.found import Found
from milepost.curation.signals.taxonomy import KINDS
from milepost.traces.record import Fault, Trace

MESSAGES_AT_ONCE = 1 << 15
"""Messages of one batch."""
_ROW_GROUP = 1 << 14
_SNIPPET = 80
COLUMNS = pa.schema(
    [
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("line", pa.int64()),
        ("id", pa.string()),
        ("task", pa.string()),
        ("end", pa.int8()),
        ("reward", pa.float32()),
        ("messages", pa.int32()),
        ("turns", pa.int32()),
        ("calls", pa.int32()),
        *((f"signal.{kind}", pa.int16()) for kind in KINDS),
        ("signature", pa.list_(pa.uint32(), HASHES)),
    ]
)
"""Columns of the table, one row per conversation."""
INSTANCES = pa.schema(
    [
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("line", pa.int64()),
        ("message", pa.int32()),
        ("signal", pa.dictionary(pa.int8(), pa.string())),
        ("confidence", pa.float32()),
        ("snippet", pa.string()),
    ]
)
"""Columns of the table of signals, one row per signal."""
FAULTS = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string())])


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Part of a file, and where its tables go."""

    path: str
    number: int
    """Of the piece: its tables are `<number>.parquet` in the folders of `out`."""
    out: str
    name: str
    """Of the file, as the tables say it."""
    format: str = ""
    reason: str = ""
    """Why the file cannot be read at all, where that is so."""
    start: int = 0
    stop: int = 0
    """Bytes from and to; the lines that begin there belong to it. 0: the file is read whole."""


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What a piece held."""

    lines: int
    """Lines of the piece, with the unreadable ones; the lines of the next piece go on from there."""
    traces: int
    faults: int


def pieces(path: Path, form: str, *, size: int) -> list[tuple[int, int]]:
    """Ranges of bytes into which a file is cut.

    Args:
        path: the file.
        form: its format; only formats by line are cut.
        size: about how many bytes each has.

    Returns:
        Ranges from and to; (0, 0) for a file that is read record by record.
    """
    total = path.stat().st_size
    if not formats.is_by_line(form, path):
        return [(0, 0)]
    cuts = [*range(0, max(total, 1), size), total]
    return list(pairwise(cuts))


def scan(piece: Piece) -> Scanned:
    """Read a piece and write its tables.

    Args:
        piece: what to read.

    Returns:
        How much there was.

    Raises:
        OSError: the file cannot be read, or a table cannot be written.
    """
    with _Tables(piece) as tables:
        if piece.reason:
            _scan_whole([Fault(file=piece.name, line=0, reason=piece.reason)], tables)
        elif piece.stop:
            with Path(piece.path).open("rb") as file:
                tables.lines = _scan_range(file, piece, tables)
        else:
            _scan_whole(formats.read(Path(piece.path), piece.format), tables)
        return Scanned(lines=tables.lines, traces=tables.traces, faults=tables.faulty)


class _Tables:
    """The three tables of a piece, batch by batch. Of a conversation only what the tables need is held."""

    def __init__(self, piece: Piece) -> None:
        self.piece, self.lines, self.traces, self.faulty = piece, 0, 0, 0
        folder = Path(piece.out)
        names = {"traces": COLUMNS, "signals": INSTANCES, "faults": FAULTS}
        self._writers = {
            name: pq.ParquetWriter(folder / name / f"{piece.number:06d}.parquet", schema, compression="zstd")
            for name, schema in names.items()
        }
        self._held: dict[str, list[pa.Table]] = {name: [] for name in names}
        self._faults: list[Fault] = []
        self._batch, self._heads, self._messages = Batch(), Heads(), 0

    def __enter__(self) -> _Tables:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, record: Trace | Fault, line: int) -> None:
        """Take in a record, and write the batch when it is full."""
        if isinstance(record, Fault):
            self._faults.append(record)
            self.faulty += 1
            return
        self._batch.add(record.messages)
        self._heads.add(record, line)
        self.traces += 1
        self._messages += len(record.messages)
        if self._messages >= MESSAGES_AT_ONCE:
            self.flush()

    def flush(self, *, last: bool = False) -> None:
        """Find the signals of the batch; write what has gathered when it is worth a row group."""
        if self._heads.line:
            table, instances = tables_of(self._batch, self._heads, self.piece.name)
            self._held["traces"].append(table)
            self._held["signals"].append(instances)
            self._batch, self._heads, self._messages = Batch(), Heads(), 0
        if self._faults:
            rows = [{"file": self.piece.name, "line": one.line, "reason": one.reason} for one in self._faults]
            self._held["faults"].append(pa.table({name: [one[name] for one in rows] for name in FAULTS.names}, FAULTS))
            self._faults.clear()
        for name, held in self._held.items():
            if held and (last or sum(one.num_rows for one in held) >= _ROW_GROUP):
                self._writers[name].write_table(pa.concat_tables(held, promote_options="permissive"))
                held.clear()


def _scan_whole(records: Iterable[Trace | Fault], tables: _Tables) -> None:
    for record in records:
        tables.lines += 1
        tables.add(record, tables.lines)
    tables.flush(last=True)


def _scan_range(file: BinaryIO, piece: Piece, tables: _Tables) -> int:
    of_value: OfValue = formats.module(piece.format).of_value
    parse, number = parser(), 0
    for raw in raw_lines(file, RECORD_BYTES, start=piece.start, stop=piece.stop):
        number += 1
        if raw and not raw.isspace():
            tables.add(_parsed(raw, parse, of_value, piece.name, number), number)
    tables.flush(last=True)
    return number


def _parsed(raw: bytes, parse: Parse, of_value: OfValue, file: str, line: int) -> Trace | Fault:
    if len(raw) > RECORD_BYTES:
        return Fault(file=file, line=line, reason=f"the line is longer than {RECORD_BYTES} bytes")
    try:
        value = parse(raw)
    except ValueError as error:
        return Fault(file=file, line=line, reason=not_json(raw, error))
    return of_value(value, file, line)


@dataclass(slots=True)
class Heads:
    """What the tables say of each conversation besides its signals."""

    line: list[int] = field(default_factory=list[int])
    id: list[str | None] = field(default_factory=list[str | None])
    task: list[str | None] = field(default_factory=list[str | None])
    end: list[int] = field(default_factory=list[int])
    reward: list[float | None] = field(default_factory=list[float | None])
    messages: list[int] = field(default_factory=list[int])

    def add(self, trace: Trace, line: int) -> None:
        """Take in a conversation, the record of this number."""
        self.line.append(line)
        self.id.append(None if trace.id == str(line) else trace.id)
        self.task.append(trace.task or None)
        self.end.append(int(trace.end))
        rewards = trace.rewards
        self.reward.append(rewards.get("outcome", next(iter(rewards.values()))) if rewards else None)
        self.messages.append(len(trace.messages))


def tables_of(batch: Batch, heads: Heads, file: str) -> tuple[pa.Table, pa.Table]:
    """The rows of a batch, and those of its signals.

    Args:
        batch: the conversations, laid flat.
        heads: what else is known of each.
        file: name of the file.

    Returns:
        Tables with the columns of `COLUMNS` and `INSTANCES`.
    """
    found = detect(batch)
    size = batch.size
    counts = found.counts(size).astype(np.int16)
    turns, calls = (
        np.bincount(np.array(owner, dtype=np.int64), minlength=size).astype(np.int32)
        for owner in (batch.user.trace, batch.calls.trace)
    )
    columns = [
        _same(file, size),
        pa.array(heads.line, pa.int64()),
        pa.array(heads.id, pa.string()),
        pa.array(heads.task, pa.string()),
        pa.array(heads.end, pa.int8()),
        pa.array(heads.reward, pa.float32()),
        pa.array(heads.messages, pa.int32()),
        pa.array(turns),
        pa.array(calls),
        *(pa.array(counts[:, kind]) for kind in range(len(KINDS))),
        pa.FixedSizeListArray.from_arrays(pa.array(signatures(batch).reshape(-1)), HASHES),
    ]
    return pa.table(columns, schema=COLUMNS), _instances(batch, found, heads.line, file)


def _same(file: str, size: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(size, dtype=np.int32), [file])


def _instances(batch: Batch, found: Found, lines: list[int], file: str) -> pa.Table:
    texts: dict[tuple[int, int], str] = {}
    wanted = set(zip(found.trace, found.place, strict=True))
    traces = {trace for trace, _ in wanted}
    for part in (batch.agent, batch.answers, batch.user):
        for row, trace in enumerate(part.trace):
            if trace in traces and (trace, part.place[row]) in wanted:
                texts[trace, part.place[row]] = part.text[row][:_SNIPPET]
    order = sorted(range(len(found.trace)), key=lambda one: (found.trace[one], found.place[one], found.kind[one]))
    columns = [
        _same(file, len(order)),
        pa.array([lines[found.trace[one]] for one in order], pa.int64()),
        pa.array([found.place[one] for one in order], pa.int32()),
        pa.DictionaryArray.from_arrays(np.array([found.kind[one] for one in order], dtype=np.int8), list(KINDS)),
        pa.array([found.confidence[one] for one in order], pa.float32()),
        pa.array([texts.get((found.trace[one], found.place[one])) for one in order], pa.string()),
    ]
    return pa.table(columns, schema=INSTANCES)
