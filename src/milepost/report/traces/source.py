"""The conversations themselves, from the files that a triage read: single ones, without reading the rest twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from milepost.bridges import formats
from milepost.bridges.lines import RECORD_BYTES, parser, raw_lines
from milepost.errors import FormatError, SettingError
from milepost.report.traces.table import Row
from milepost.traces.record import Fault, Message, Trace, calls_of, text_of


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message as it is shown."""

    number: int
    role: str
    text: str
    calls: tuple[str, ...] = ()
    """Name and arguments of each call."""


def source_of(folder: Path, given: Path | None = None) -> Path:
    """Where the conversations of a triage are: what is given, or what stands beside the folder without its ending.

    Args:
        folder: of the triage.
        given: a file or folder; None looks beside.

    Returns:
        A file or a folder.

    Raises:
        SettingError: there is nothing.
    """
    found = given or (folder.with_suffix("") if folder.suffix == ".triage" else folder)
    if not found.exists() or found == folder:
        raise SettingError(f"The conversations of {folder} are not beside it: name their file or folder by --source.")
    return found


def conversations(source: Path, wanted: Sequence[Row]) -> Iterator[tuple[Row, Trace | Fault]]:
    """Read the conversations of some rows, each file once.

    Args:
        source: the file or folder that was triaged.
        wanted: rows of the table.

    Yields:
        Each row with its conversation, or what is wrong with it by now; by file and line.
    """
    by_file: dict[str, dict[int, Row]] = {}
    for row in wanted:
        by_file.setdefault(row.value["file"], {})[row.value["line"]] = row
    for name, at in sorted(by_file.items()):
        path = source if source.is_file() else source / name
        yield from _of_file(path, at)


def _of_file(path: Path, at: Mapping[int, Row]) -> Iterator[tuple[Row, Trace | Fault]]:
    found: dict[int, Trace | Fault] = {}
    try:
        name = formats.detect(path)
        found = _by_line(path, name, at) if formats.is_by_line(name, path) else _by_id(path, name, at)
    except (OSError, FormatError) as error:
        for line, row in sorted(at.items()):
            yield row, Fault(file=path.name, line=line, reason=str(error))
        return
    for line, row in sorted(at.items()):
        gone = Fault(file=path.name, line=line, reason="it is not there any more: the file has changed")
        yield row, found.get(line, gone)


def _by_line(path: Path, name: str, at: Mapping[int, Row]) -> dict[int, Trace | Fault]:
    parse, of_value, last = parser(), formats.module(name).of_value, max(at)
    found: dict[int, Trace | Fault] = {}
    with path.open("rb") as file:
        for number, raw in zip(count(1), raw_lines(file, RECORD_BYTES), strict=False):
            if number in at:
                try:
                    found[number] = of_value(parse(raw.strip()), path.name, number)
                except ValueError as error:
                    found[number] = Fault(file=path.name, line=number, reason=f"it is no JSON: {error}")
            if number >= last:
                break
    return found


def _by_id(path: Path, name: str, at: Mapping[int, Row]) -> dict[int, Trace | Fault]:
    lines = {row.value["id"]: line for line, row in at.items()}
    read = (one for one in formats.read(path, name) if isinstance(one, Trace))
    return {lines[one.id]: one for one in read if one.id in lines}


def said(trace: Trace) -> list[Said]:
    """Messages of a conversation as text.

    Args:
        trace: the conversation.

    Returns:
        One entry per message, numbered from 0 as signals are.
    """
    return [_said(number, message) for number, message in enumerate(trace.messages)]


def _said(number: int, message: Message) -> Said:
    try:
        calls = tuple(f"{one.name}({_arguments(one.arguments)})" for one in calls_of(message))
    except (KeyError, TypeError):
        calls = (str(message.get("tool_calls")),)
    return Said(number=number, role=str(message["role"]), text=text_of(message.get("content")), calls=calls)


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else "" if given is None else str(given)
