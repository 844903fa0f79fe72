"""Records of a file, one at a time in bounded memory: JSON lines, and the elements of an array in one JSON document.

A record that cannot be read becomes a `Fault` and the next one follows. orjson parses: it is the fastest parser with
exact errors, and refuses NaN and infinity, which are no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from milepost.optional import load
from milepost.traces.record import Fault, Trace

RECORD_BYTES = 64 << 20
"""Longest record that is read; a longer one is a fault."""
_BLOCK = 1 << 20
_LEVELS = 254
"""How deep orjson writes; Python's own functions fail at some thousand levels."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_BLANK = b" \t\r\n"

Parse: TypeAlias = Callable[[bytes], Any]
OfValue: TypeAlias = Callable[[object, str, int], Trace | Fault]
"""One conversation from a parsed line, the name of the file and the number of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One parsed record, and the number of its line or element from 1."""

    line: int
    value: Any


def parser() -> Parse:
    """The function that parses one JSON document; it raises ValueError with the place of the mistake.

    What is nested so deep that it could not be written again (254 levels) is refused.
    """
    orjson = load("orjson", extra="traces", purpose="Reading traces")
    loads: Parse = orjson.loads

    def parse(raw: bytes) -> Any:
        value = loads(raw)
        if raw.count(b"[") + raw.count(b"{") > _LEVELS:
            try:
                orjson.dumps(value)
            except TypeError as error:
                raise _TooDeep(f"it is nested deeper than {_LEVELS} levels") from error
        return value

    return parse


class _TooDeep(ValueError):
    """A document that is JSON, and nested too deep."""


def records(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Record | Fault]:
    """Read JSON lines; empty lines are skipped.

    Args:
        path: the file.
        limit: longest line in bytes; the rest of a longer one is skipped without being kept.

    Yields:
        Each record, or what is wrong with its line.

    Raises:
        OSError: the file cannot be opened.
    """
    parse, name = parser(), path.name
    with path.open("rb") as file:
        for number, raw in enumerate(raw_lines(file, limit), 1):
            if len(raw) > limit:
                yield Fault(file=name, line=number, reason=f"the line is longer than {limit} bytes")
                continue
            text = raw.strip()
            if not text:
                continue
            try:
                yield Record(line=number, value=parse(text))
            except ValueError as error:
                yield Fault(file=name, line=number, reason=not_json(text, error))


def conversations(path: Path, of_value: OfValue, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read JSON lines of which each is a conversation of its own.

    Args:
        path: the file.
        of_value: reads one parsed line.
        limit: longest line in bytes.

    Yields:
        Each conversation, or what is wrong with its line.

    Raises:
        OSError: the file cannot be opened.
    """
    for record in records(path, limit=limit):
        yield record if isinstance(record, Fault) else of_value(record.value, path.name, record.line)


def raw_lines(file: BinaryIO, limit: int, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Lines that begin in a range of bytes, without a byte order mark before the first.

    Args:
        file: opened to read bytes, with its place anywhere.
        limit: longest line in bytes; of a longer one only the first part is returned, longer than the limit.
        start: first byte of the range.
        stop: end of the range; None is the end of the file.

    Yields:
        Each line with its line break.
    """
    place = to_line(file, start)
    while (stop is None or place < stop) and (raw := file.readline(limit + 1)):
        if len(raw) > limit and not raw.endswith(b"\n"):
            _skip(file)
            place = file.tell()
        else:
            place += len(raw)
        yield raw


def blocks(file: BinaryIO, limit: int, *, start: int = 0, stop: int, size: int) -> Iterator[bytes]:
    """The same lines as `raw_lines`, many at once.

    Args:
        file: opened to read bytes, with its place anywhere.
        limit: longest line in bytes; a longer one is cut, longer than the limit, and what follows it is a line.
        start: first byte of the range.
        stop: end of the range.
        size: about how many bytes a block has.

    Yields:
        Whole lines with their line breaks; of a line that is too long only the first part.
    """
    place = to_line(file, start)
    while place < stop and (block := file.read(min(size, stop - place))):
        if not block.endswith(b"\n"):
            rest = file.readline(limit + 1)
            block += rest
            if len(rest) > limit and not rest.endswith(b"\n"):
                _skip(file)
                block += b"\n"
        place = file.tell()
        yield block


def to_line(file: BinaryIO, start: int) -> int:
    """Go to the first line that begins at a byte or later, behind a byte order mark; return its place."""
    if start:
        file.seek(start - 1)
        _skip(file)
    else:
        file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
    return file.tell()


def _skip(file: BinaryIO) -> None:
    """Go to the end of the line."""
    while (rest := file.readline(_BLOCK)) and not rest.endswith(b"\n"):
        continue


def not_json(text: bytes, error: ValueError) -> str:
    """Why a text is no JSON, in words for people who look at a file.

    Args:
        text: the text.
        error: what the parser raised.

    Returns:
        One clause.
    """
    if text[:2] == b"\x1f\x8b":
        return "the file is compressed with gzip: unpack it first"
    if text[:4] == b"PAR1":
        return "the file is Parquet, not JSON lines"
    if b"\x00" in text[:64]:
        return "the line holds zero bytes: this is no text, or text in UTF-16"
    return str(error) if isinstance(error, _TooDeep) else f"not JSON: {error}"


def elements(path: Path, key: str, *, limit: int = RECORD_BYTES) -> Iterator[Record | Fault]:
    """Read the elements of the array under `key` at the top of a JSON document, without holding the document.

    Args:
        path: the file.
        key: such as "simulations".
        limit: longest element in bytes.

    Yields:
        Each element with its number from 1, or what is wrong with it or with the document.

    Raises:
        OSError: the file cannot be opened.
    """
    parse, name = parser(), path.name
    found = 0
    with path.open("rb") as file:
        try:
            for raw in _split(file, key.encode(), limit, parse):
                found += 1
                try:
                    yield Record(line=found, value=parse(raw))
                except ValueError as error:
                    yield Fault(file=name, line=found, reason=not_json(raw, error))
        except _Broken as broken:
            yield Fault(file=name, line=found, reason=str(broken))


class _Broken(Exception):
    """The document ends early, or holds no such array."""


class _Scan:
    """Structural tokens of a document, from a buffer that is filled block by block and cut where nothing is needed."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.file, self.limit, self.buffer, self.place, self.whole = file, limit, b"", 0, False

    def next(self, keep: int) -> re.Match[bytes] | None:
        """The next token; bytes from `keep` on stay in the buffer."""
        while True:
            match = _TOKEN.search(self.buffer, self.place)
            quote = self.buffer.find(b'"', self.place)
            begun = quote >= 0 and (match is None or quote < match.start())  # a string that goes on in the next block
            if match is not None and not begun:
                self.place = match.end()
                return match
            if self.whole:
                return None
            if len(self.buffer) - keep > self.limit:
                raise _Broken(f"one part of the document is longer than {self.limit} bytes")
            if not begun:
                self.place = len(self.buffer)
            block = self.file.read(max(_BLOCK, len(self.buffer)))
            self.whole = not block
            self.buffer += block

    def take(self) -> bytes:
        """The bytes up to here, which are then forgotten."""
        taken, self.buffer, self.place = self.buffer[: self.place], self.buffer[self.place :], 0
        return taken


def _split(file: BinaryIO, key: bytes, limit: int, parse: Parse) -> Iterator[bytes]:
    scan = _Scan(file, limit)
    _seek(scan, b'"' + key + b'"')
    before = scan.take()
    depth = start = 0
    while True:
        match = scan.next(start)
        if match is None:
            raise _Broken("the document ends in the middle of an element: it was cut off")
        token = match.group()
        if token in (b"{", b"["):
            depth += 1
        elif depth and token in (b"}", b"]"):
            depth -= 1
        elif not depth and token in (b",", b"]", b"}"):
            raw = scan.buffer[start : match.start()].strip(_BLANK)
            if raw or token == b",":
                yield raw
            start = scan.place
            if token != b",":
                break
            if start > _BLOCK:
                scan.take()
                start = 0
    scan.buffer, scan.place = scan.buffer[start - 1 :], 0  # from the bracket that closes the array
    while scan.next(0) is not None:
        continue
    try:  # what stands around the elements must be a document too
        parse(before + scan.buffer)
    except ValueError as error:
        raise _Broken(f"around its elements the document is {not_json(before, error)}") from error


def _seek(scan: _Scan, wanted: bytes) -> None:
    """Go to the first element of the array under a key at the top."""
    depth, before = 0, b""
    while (match := scan.next(0)) is not None:
        token = match.group()
        if token == b"[" and depth == 1 and before == wanted + b":":
            return
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
            if depth <= 0:
                break
        before = before + token if token == b":" else token
    if depth > 0:
        raise _Broken(f"the document ends before its {wanted.decode()}: it was cut off")
    head = scan.buffer[:64]
    reason = not_json(head, ValueError(f"there is no object with an array {wanted.decode()} at its top"))
    raise _Broken(reason.removeprefix("not JSON: "))
