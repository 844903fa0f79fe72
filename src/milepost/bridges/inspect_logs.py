"""Logs of inspect: `.eval` archives, one member per sample, and `.json` documents with an array "samples"."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from milepost.bridges import fields
from milepost.bridges.lines import RECORD_BYTES, elements, not_json, parser
from milepost.columns import End
from milepost.traces.record import Fault, Trace, wrong_with

_ZSTANDARD = 93
_LIMITS = {"message": End.TURN_LIMIT, "token": End.TOKEN_LIMIT, "context": End.TOKEN_LIMIT, "time": End.TIME_LIMIT}
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def read(path: Path, *, limit: int = RECORD_BYTES) -> Iterator[Trace | Fault]:
    """Read the samples of a log.

    Scores become rewards: numbers as they are, inspect's grades C, P, I and N as 1, 0.5, 0 and 0, as its own metrics
    count them; other texts are not scored.

    Args:
        path: the log.
        limit: longest sample in bytes.

    Yields:
        Each sample, or what is wrong with it.

    Raises:
        OSError: the file cannot be opened.
    """
    if path.suffix != ".eval":
        for record in elements(path, "samples", limit=limit):
            yield record if isinstance(record, Fault) else _trace(record.value, path.name, record.line)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _archived(archive, path.name, limit)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        yield Fault(file=path.name, line=0, reason=f"no .eval archive, or one that was cut off: {error}")


def _archived(archive: zipfile.ZipFile, file: str, limit: int) -> Iterator[Trace | Fault]:
    parse, number = parser(), 0
    for member in archive.infolist():
        if not member.filename.startswith("samples/") or not member.filename.endswith(".json"):
            continue
        number += 1
        try:
            raw = _unpacked(archive, member, limit)
        except (zipfile.BadZipFile, pa.ArrowException, OSError, EOFError, ValueError, RuntimeError) as error:
            yield Fault(file=file, line=number, reason=f"{member.filename} cannot be unpacked: {error}")
            continue
        if len(raw) > limit:
            yield Fault(file=file, line=number, reason=f"{member.filename} is longer than {limit} bytes")
            continue
        try:
            yield _trace(parse(raw), file, number)
        except ValueError as error:
            yield Fault(file=file, line=number, reason=not_json(raw, error))


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    """Content of a member, at most one byte over the limit; Zstandard is unpacked by Arrow, as older Pythons cannot."""
    if member.compress_type != _ZSTANDARD:
        with archive.open(member) as source:
            return source.read(limit + 1)
    file = archive.fp
    if file is None or member.compress_size > limit:
        raise ValueError("it is too long")
    file.seek(member.header_offset)
    head = file.read(30)
    if head[:4] != b"PK\x03\x04":
        raise ValueError("its header is damaged")
    file.seek(int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little"), 1)
    packed = pa.BufferReader(file.read(member.compress_size))
    with pa.CompressedInputStream(packed, "zstd") as stream:
        return stream.read(limit + 1)


def _trace(value: object, file: str, line: int) -> Trace | Fault:
    if not isinstance(value, dict):
        return Fault(file=file, line=line, reason="the sample is no object")
    rest = dict(cast("dict[str, Any]", value))
    messages = rest.pop("messages", None)
    wrong = wrong_with(messages)
    if wrong:
        return Fault(file=file, line=line, reason=wrong)
    task, epoch, unique = fields.text(rest, "id"), rest.get("epoch"), fields.text(rest, "uuid")
    limit = rest.get("limit")
    kind = str(cast("dict[str, Any]", limit).get("type")) if isinstance(limit, dict) else ""
    end = End.ERROR if rest.get("error") else _LIMITS.get(kind, End.BUDGET) if kind else End.TERMINATED
    return Trace(
        id=unique or f"{task or line}:{epoch if isinstance(epoch, int) else 1}",
        messages=messages,
        task=task,
        draw=epoch - 1 if isinstance(epoch, int) else 0,
        end=end,
        rewards=_scores(rest.get("scores")),
        rest=rest,
    )


def _scores(found: object) -> dict[str, float | None]:
    if not isinstance(found, dict):
        return {}
    rewards: dict[str, float | None] = {}
    for name, score in cast("dict[str, object]", found).items():
        value = cast("Mapping[str, Any]", score).get("value") if isinstance(score, dict) else None
        rewards[fields.clean(name)] = _GRADES.get(value) if isinstance(value, str) else fields.number(value)
    return rewards
