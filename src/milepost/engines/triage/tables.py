"""The tables of the first pass: one row per conversation, per signal, and per record that could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from milepost.curation.selection.duplicates import HASHES, signatures
from milepost.curation.signals.detect import detect
from milepost.curation.signals.flat import Batch, Laying, Texts
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


@dataclass(slots=True)
class Heads:
    """What the tables say of each conversation besides its signals."""

    line: list[int] = field(default_factory=list[int])
    id: list[str | None] = field(default_factory=list[str | None])
    task: list[str | None] = field(default_factory=list[str | None])
    end: list[int] = field(default_factory=list[int])
    reward: list[float | None] = field(default_factory=list[float | None])
    messages: list[int] = field(default_factory=list[int])

    def add(self, trace: Trace, line: int, messages: int) -> None:
        """Take in a conversation of so many messages, the record of this number."""
        self.line.append(line)
        nameless = trace.id == str(line) != str(trace.rest.get("id"))  # lines count from the beginning of a part
        self.id.append(None if nameless else trace.id)
        self.task.append(trace.task or None)
        self.end.append(int(trace.end))
        rewards = trace.rewards
        self.reward.append(rewards.get("outcome", next(iter(rewards.values()))) if rewards else None)
        self.messages.append(messages)


def tables_of(batch: Batch, heads: Heads, file: str, *, fast: bool = False) -> tuple[pa.Table, pa.Table]:
    """The rows of a batch, and those of its signals.

    Args:
        batch: the conversations, laid flat.
        heads: what else is known of each.
        file: name of the file.
        fast: by machine code.

    Returns:
        Tables with the columns of `COLUMNS` and `INSTANCES`.
    """
    found = detect(batch, fast=fast)
    size = batch.size
    counts = found.counts(size).astype(np.int16)
    turns, calls = (
        np.bincount(texts.trace, minlength=size).astype(np.int32) for texts in (batch.user, batch.calls.spelled)
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
        pa.FixedSizeListArray.from_arrays(pa.array(signatures(batch, fast=fast).reshape(-1)), HASHES),
    ]
    return pa.table(columns, schema=COLUMNS), _instances(batch, found, heads.line, file)


def _same(file: str, size: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(size, dtype=np.int32), [file])


def _instances(batch: Batch, found: Found, lines: list[int], file: str) -> pa.Table:
    trace, place, kind = (np.array(one, dtype=np.int64) for one in (found.trace, found.place, found.kind))
    order = np.lexsort((kind, place, trace))
    trace, place, kind = trace[order], place[order], kind[order]
    snippets: list[str | None] = [None] * len(order)
    for texts in (batch.user, batch.agent, batch.answers):
        for row, at in _rows(texts, trace, place):
            snippets[row] = texts.text(at)[:_SNIPPET]
    columns = [
        _same(file, len(order)),
        pa.array(np.array(lines, dtype=np.int64)[trace]),
        pa.array(place.astype(np.int32)),
        pa.DictionaryArray.from_arrays(kind.astype(np.int8), list(KINDS)),
        pa.array(np.array(found.confidence)[order].astype(np.float32)),
        pa.array(snippets, pa.string()),
    ]
    return pa.table(columns, schema=INSTANCES)


def _rows(texts: Texts, trace: NDArray[np.int64], place: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Which of several messages are among some texts, and their rows there."""
    if not len(texts):
        return []
    width = 1 + int(max(texts.place.max(), place.max(initial=0)))
    known, wanted = texts.trace * width + texts.place, trace * width + place
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    rows = np.flatnonzero(known[at] == wanted)
    return list(zip(rows.tolist(), at[rows].tolist(), strict=True))


class Tables:
    """The three tables of one file or a part of it, written batch by batch.

    Args:
        folder: holds the folders `traces`, `signals` and `faults`.
        number: of the part, which names its files.
        name: of the file, as the tables say it.
        fast: by machine code.
    """

    def __init__(self, folder: Path, number: int, name: str, *, fast: bool) -> None:
        self.name, self.fast, self.lines, self.traces, self.faulty = name, fast, 0, 0, 0
        schemas = {"traces": COLUMNS, "signals": INSTANCES, "faults": FAULTS}
        self._writers = {
            kind: pq.ParquetWriter(folder / kind / f"{number:06d}.parquet", schema, compression="zstd")
            for kind, schema in schemas.items()
        }
        self._held: dict[str, list[pa.Table]] = {kind: [] for kind in schemas}
        self._faults: list[Fault] = []
        self._laying, self._heads, self._messages = Laying(), Heads(), 0

    def __enter__(self) -> Tables:
        """The tables."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def add(self, record: Trace | Fault, line: int) -> None:
        """Take in a record, and write the batch when it is full."""
        if isinstance(record, Fault):
            self._faults.append(record)
            self.faulty += 1
            return
        self._laying.add(record.messages)
        self._heads.add(record, line, len(record.messages))
        self.traces += 1
        self._messages += len(record.messages)
        if self._messages >= MESSAGES_AT_ONCE:
            self.flush()

    def flush(self, batch: Batch | None = None, heads: Heads | None = None, *, last: bool = False) -> None:
        """Find the signals of the batch; write what has gathered when it is worth a row group.

        Args:
            batch: further conversations, laid flat already.
            heads: what else is known of them.
            last: whether nothing more comes.
        """
        found: list[tuple[pa.Table, pa.Table]] = []
        if batch is not None and heads is not None and heads.line:
            found.append(tables_of(batch, heads, self.name, fast=self.fast))
            self.traces += len(heads.line)
        if self._heads.line:
            found.append(tables_of(self._laying.batch(), self._heads, self.name))
            self._laying, self._heads, self._messages = Laying(), Heads(), 0
        for kind, parts in zip(("traces", "signals"), zip(*found, strict=True), strict=False):
            self._held[kind].append(_by_line(parts))
        if self._faults:
            rows = [{"file": self.name, "line": one.line, "reason": one.reason} for one in self._faults]
            self._held["faults"].append(pa.table({name: [one[name] for one in rows] for name in FAULTS.names}, FAULTS))
            self._faults.clear()
        for kind, held in self._held.items():
            if held and (last or sum(one.num_rows for one in held) >= _ROW_GROUP):
                self._writers[kind].write_table(pa.concat_tables(held, promote_options="permissive"))
                held.clear()


def _by_line(parts: tuple[pa.Table, ...]) -> pa.Table:
    """Rows of several tables in the order of their lines."""
    if len(parts) == 1:
        return parts[0]
    joined = pa.concat_tables(parts)
    return joined.take(pa.array(np.argsort(joined.column("line").to_numpy(), kind="stable")))
