"""Second pass: near duplicates and the selection, over the tables of the first, batch by batch.

What has to be known of all conversations is kept on disk: how many are at each level is a short vector, and what
resembles what is a file of one number per conversation. Near duplicates are looked for in parts of the hashes, one
after the other, so that memory does not grow with the pool either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from milepost.curation.selection.duplicates import BANDS, HASHES, bands, first_alike
from milepost.curation.selection.inclusion import either, uniforms
from milepost.curation.selection.rules import WEIGHTS, Counted, Selection, score
from milepost.curation.signals.found import by_group
from milepost.curation.signals.taxonomy import GROUPS, KINDS, severity
from milepost.engines.triage.scan import Scanned

_ROWS_AT_ONCE = 1 << 14
_PART = 1 << 18
"""Conversations of one part of the hashes: what is compared at once in memory."""
_LAST = ("traces", "signals", "faults")

Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What the selection did, in counts."""

    traces: int
    kept: int
    sentinel: int
    duplicates: int
    expected: float
    """Number of conversations that the probabilities of inclusion expect."""
    kinds: tuple[int, ...]
    """Conversations with each kind of signal."""
    kinds_kept: tuple[int, ...]
    levels: tuple[int, ...]
    """Eligible conversations at each level of the rule."""


def select(folder: Path, scanned: Sequence[tuple[str, Scanned]], selection: Selection, *, alike: float) -> Chosen:
    """Join the tables of the pieces, and write who is kept and with which probability.

    Args:
        folder: holds the folders `traces`, `signals` and `faults` of the first pass; the joined tables are written
            beside them, as `traces.parquet` and so on, and the folders are removed.
        scanned: name of the file and what was read, piece by piece.
        selection: the rule.
        alike: resemblance from which a conversation is a near duplicate of an earlier one; above 1: none is.

    Returns:
        Counts.

    Raises:
        OSError: a table cannot be read or written.
    """
    first_lines = _first_lines(scanned)
    size = sum(one.traces for _, one in scanned)
    place = folder / ".first.draft"
    first = np.memmap(place, dtype=np.int64, mode="w+", shape=(max(size, 1),))
    first[:] = -1
    if alike <= 1:
        _mark_duplicates(folder, first, size, alike)
    levels = np.zeros(selection.rule.levels, dtype=np.int64)
    for start, table in _tables(folder / "traces", _COUNTED):
        unique = first[start : start + table.num_rows] < 0
        found = selection.rule.level(_counted(table))[unique]
        levels += np.bincount(found, minlength=selection.rule.levels)
    chosen = _write_traces(folder, first, first_lines, selection, levels)
    for name in _LAST[1:]:
        _join(folder, name, first_lines)
    del first
    place.unlink()
    for name in _LAST:
        for file in (folder / name).iterdir():
            file.unlink()
        (folder / name).rmdir()
    return chosen


_COUNTED = ["turns", *(f"signal.{kind}" for kind in KINDS)]


def _counted(table: pa.Table) -> Counted:
    kinds = [table.column(f"signal.{kind}").to_numpy().astype(np.int64) for kind in KINDS]
    return Counted(counts=np.stack(kinds, axis=1), turns=table.column("turns").to_numpy().astype(np.int64))


def _first_lines(scanned: Sequence[tuple[str, Scanned]]) -> list[int]:
    """Lines before each piece in its file."""
    before: dict[str, int] = {}
    starts: list[int] = []
    for name, one in scanned:
        starts.append(before.get(name, 0))
        before[name] = starts[-1] + one.lines
    return starts


def _pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _tables(folder: Path, columns: list[str] | None) -> Iterator[tuple[int, pa.Table]]:
    """Batches of rows with the number of the first, over all pieces."""
    start = 0
    for path in _pieces(folder):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                yield start, _table(batch)
                start += len(batch)


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.table(batch.columns, schema=batch.schema)


def _mark_duplicates(folder: Path, first: NDArray[np.int64], size: int, alike: float) -> None:
    parts = max(1, math.ceil(size / _PART))
    for band in range(BANDS):
        for part in range(parts):
            rows: list[Whole] = []
            hashes: list[NDArray[np.uint64]] = []
            found: list[NDArray[np.uint32]] = []
            for start, table in _tables(folder / "traces", ["signature"]):
                column = table.column("signature").combine_chunks()
                signature = column.flatten().to_numpy().reshape(-1, HASHES)
                hashed = bands(signature)[:, band]
                mine = np.flatnonzero((hashed % np.uint64(parts) == part) & (hashed != 0))
                rows.append(start + mine)
                hashes.append(hashed[mine])
                found.append(signature[mine])
            if rows:
                later, earlier = first_alike(
                    np.concatenate(rows), np.concatenate(hashes), np.concatenate(found), alike=alike
                )
                known = first[later]
                first[later] = np.where(known < 0, earlier, np.minimum(known, earlier))


def _write_traces(
    folder: Path, first: NDArray[np.int64], first_lines: Sequence[int], selection: Selection, levels: Whole
) -> Chosen:
    size = int(levels.sum()) + int((first >= 0).sum())
    probability = selection.probability(levels, size)
    kept = sentinel = 0
    expected = 0.0
    kinds, kinds_kept = (np.zeros(len(KINDS), dtype=np.int64) for _ in range(2))
    rows = 0
    with _Writer(folder / "traces.parquet") as writer:
        for number, path in enumerate(_pieces(folder / "traces")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_AT_ONCE):
                    table = _moved(_table(batch), first_lines[number]).drop_columns(["signature"])
                    drawn = _draw(table, first[rows : rows + table.num_rows], selection, probability)
                    writer.write(_with(table, drawn, first[rows : rows + table.num_rows]))
                    present = drawn.counted.counts > 0
                    kinds += present.sum(axis=0)
                    kinds_kept += present[drawn.keep].sum(axis=0)
                    kept, sentinel = kept + int(drawn.keep.sum()), sentinel + int(drawn.sentinel.sum())
                    expected += float(drawn.inclusion.sum())
                    rows += table.num_rows
    return Chosen(
        traces=rows,
        kept=kept,
        sentinel=sentinel,
        duplicates=int((first[:rows] >= 0).sum()),
        expected=expected,
        kinds=tuple(kinds.tolist()),
        kinds_kept=tuple(kinds_kept.tolist()),
        levels=tuple(levels.tolist()),
    )


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    keep: NDArray[np.bool_]
    sentinel: NDArray[np.bool_]
    inclusion: NDArray[np.float64]
    counted: Counted


def _draw(table: pa.Table, first: NDArray[np.int64], selection: Selection, probability: NDArray[np.float64]) -> _Drawn:
    counted = _counted(table)
    by_rule = np.where(first < 0, probability[selection.rule.level(counted)], 0.0)
    files = table.column("file").combine_chunks()
    line, code = table.column("line").to_numpy(), files.indices.to_numpy()
    taken, sentinel = np.zeros(len(line), dtype=bool), np.zeros(len(line), dtype=bool)
    for number, name in enumerate(files.dictionary.to_pylist()):
        mine = code == number
        taken[mine] = uniforms(selection.seed, name, line[mine], "rule") < by_rule[mine]
        sentinel[mine] = uniforms(selection.seed, name, line[mine], "sentinel") < selection.uniform
    inclusion = either(by_rule, selection.uniform)
    return _Drawn(keep=taken | sentinel, sentinel=sentinel, inclusion=inclusion, counted=counted)


def _with(table: pa.Table, drawn: _Drawn, first: NDArray[np.int64]) -> pa.Table:
    grave = severity(by_group(drawn.counted.counts))
    for place, group in enumerate(GROUPS):
        table = table.append_column(f"severity.{group}", pa.array(grave[:, place]))
    added = {
        "score": pa.array(score(drawn.counted.counts, WEIGHTS).astype(np.int16)),
        "duplicate_of": pa.array(first, mask=first < 0),
        "keep": pa.array(drawn.keep),
        "sentinel": pa.array(drawn.sentinel),
        "inclusion": pa.array(drawn.inclusion),
    }
    for name, column in added.items():
        table = table.append_column(name, column)
    return table


def _moved(table: pa.Table, before: int) -> pa.Table:
    """A table whose lines are numbered from the beginning of the file, and whose nameless rows are named by them."""
    place = table.schema.get_field_index("line")
    return table.set_column(place, "line", pa.array(table.column("line").to_numpy() + before)) if before else table


def _join(folder: Path, name: str, first_lines: Sequence[int]) -> None:
    with _Writer(folder / f"{name}.parquet") as writer:
        for number, path in enumerate(_pieces(folder / name)):
            with pq.ParquetFile(path) as file:
                writer.write(_moved(file.schema_arrow.empty_table(), 0))
                for batch in file.iter_batches(_ROWS_AT_ONCE):
                    writer.write(_moved(_table(batch), first_lines[number]))


class _Writer:
    """A Parquet file that appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path, self._draft = path, path.with_name(f".{path.name}.draft")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        writer = self._writer or pq.ParquetWriter(self._draft, table.schema, compression="zstd")
        self._writer = writer
        writer.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            if kind is None:
                self._draft.replace(self.path)
