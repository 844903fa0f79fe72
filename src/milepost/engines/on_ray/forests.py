"""Stored forests worked on by a cluster: scored, curated, anything that is a `stored.work.Work`.

A forest of one piece is read, worked on and written by one worker; of a larger one the workers hand over the columns
that they wrote, and this process puts them together. Either way the bytes are those of `stored.work.done`. All machines
must see the same folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from milepost import storage, tables
from milepost.engines.on_ray.cluster import Row, mapped
from milepost.engines.stored.work import Place, Work, cuts, done, joined, rows_of, written
from milepost.errors import FormatError
from milepost.forest import Forest


def apply(work: Work, places: Sequence[Place]) -> list[Sequence[Mapping[str, Any]]]:
    """Work on stored forests and write their copies, on the cluster that `cluster.cluster` is connected to.

    Args:
        work: what is done; it and what it holds must be importable by the workers.
        places: where the forests are, and where their copies go.

    Returns:
        What there is to say of each forest, see `Work.summary`.

    Raises:
        MilepostError: a folder holds no forest, or the work cannot be done; other forests may be written by then.
        OSError: a copy cannot be written.
    """
    rows: list[Row] = []
    for number, place in enumerate(places):
        parent = storage.read_table(place.source, columns=["parent"]).column("parent").to_numpy()
        ranges = cuts(torch.from_numpy(parent.copy()), work.trees)
        for first, last in ranges:
            where = {"place": number, "source": str(place.source.resolve()), "out": str(place.out.resolve())}
            rows.append({**where, "first": first, "last": last, "whole": len(ranges) == 1})
    found = mapped(_Piece(work=work), rows)
    by_place: dict[int, list[Row]] = {}
    for row in found:
        by_place.setdefault(row["place"], []).append(row)
    return [_finished(work, place, by_place[number]) for number, place in enumerate(places)]


def _finished(work: Work, place: Place, rows: Sequence[Row]) -> Sequence[Mapping[str, Any]]:
    if rows[0]["summary"]:
        return json.loads(rows[0]["summary"])
    forest = joined(work, storage.read(place.source), [unpacked(row["content"]) for row in rows])
    storage.write(forest, place.out)
    return work.summary(forest)


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Work on a range of trees; doing it twice writes the same file twice."""

    work: Work

    def __call__(self, row: Row) -> Row:
        if row["whole"]:
            said = done(self.work, Place(source=Path(row["source"]), out=Path(row["out"])))
            return {"place": row["place"], "summary": json.dumps(said), "content": b""}
        source = Path(row["source"])
        forest = _read(source, (source / storage.MANIFEST).read_text(encoding="utf-8"))
        piece = forest.select(rows_of(forest, row["first"], row["last"]))
        return {"place": row["place"], "summary": "", "content": packed(written(self.work, piece))}


@lru_cache(maxsize=1)
def _read(source: Path, manifest: str) -> Forest:  # noqa: ARG001 - another manifest is another forest
    return storage.read(source)


def packed(forest: Forest) -> bytes:
    """A forest without dense arrays as the bytes of an Arrow stream.

    Args:
        forest: the forest.

    Returns:
        The bytes.

    Raises:
        FormatError: it has a column of dense arrays.
    """
    parts = tables.take_apart(forest)
    if parts.arrays:
        raise FormatError(f"The columns {sorted(parts.arrays)} are dense arrays, which workers do not hand over.")
    table = parts.table.replace_schema_metadata({b"milepost": json.dumps(dict(parts.columns)).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpacked(content: bytes) -> Forest:
    """Read what `packed` made.

    Args:
        content: the bytes.

    Returns:
        The forest.

    Raises:
        FormatError: they are not such bytes.
    """
    try:
        with pa.ipc.open_stream(content) as reader:
            table = reader.read_all()
        columns = json.loads(table.schema.metadata[b"milepost"])
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"What a worker handed over is no forest: {error}.") from error
    return tables.put_together(tables.Parts(table=table, arrays={}, columns=columns))
