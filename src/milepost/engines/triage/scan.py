"""First pass: signals of every conversation of a file, or of a range of its bytes, as a table on disk.

Batches of a few megabytes are parsed, laid flat, searched and written; nothing else stays in memory. A file of lines
is cut into ranges, which are read side by side. Large files of chat completions are skimmed instead of parsed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from milepost import optional
from milepost.bridges import formats
from milepost.bridges.lines import RECORD_BYTES, OfValue, Parse, blocks, not_json, parser, raw_lines
from milepost.bridges.skim.block import Block
from milepost.engines.triage.skimmed import batch_of, heads_of
from milepost.engines.triage.tables import Tables
from milepost.traces.record import Fault, Trace

_BLOCK = 8 << 20
"""Bytes that are skimmed at once."""


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
    fast: bool = False
    """By machine code, where numba is installed; the tables are the same."""


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
    fast = piece.fast and optional.has_compiler()
    with Tables(Path(piece.out), piece.number, piece.name, fast=fast) as tables:
        if piece.reason:
            _scan_whole([Fault(file=piece.name, line=0, reason=piece.reason)], tables)
        elif piece.stop:
            scan_lines = _scan_blocks if fast and piece.format == "chat" else _scan_range
            with Path(piece.path).open("rb") as file:
                tables.lines = scan_lines(file, piece, tables)
        else:
            _scan_whole(formats.read(Path(piece.path), piece.format), tables)
        return Scanned(lines=tables.lines, traces=tables.traces, faults=tables.faulty)


def _scan_whole(records: Iterable[Trace | Fault], tables: Tables) -> None:
    for record in records:
        tables.lines += 1
        tables.add(record, tables.lines)
    tables.flush(last=True)


def _scan_range(file: BinaryIO, piece: Piece, tables: Tables) -> int:
    of_value: OfValue = formats.module(piece.format).of_value
    parse, number = parser(), 0
    for raw in raw_lines(file, RECORD_BYTES, start=piece.start, stop=piece.stop):
        number += 1
        if raw and not raw.isspace():
            tables.add(_parsed(raw, parse, of_value, piece.name, number), number)
    tables.flush(last=True)
    return number


def _scan_blocks(file: BinaryIO, piece: Piece, tables: Tables) -> int:
    parse, number = parser(), 0
    of_value: OfValue = formats.module(piece.format).of_value
    for block in blocks(file, RECORD_BYTES, start=piece.start, stop=piece.stop, size=_BLOCK):
        skimmed = Block(block, limit=RECORD_BYTES)
        for row, raw in skimmed.odd():
            if not raw.isspace():
                tables.add(_parsed(raw, parse, of_value, piece.name, number + row + 1), number + row + 1)
        tables.flush(batch_of(skimmed), heads_of(skimmed, parse, number + 1))
        number += len(skimmed.kind)
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
