"""What every command prints: text, tables, JSON, and errors that name the next command to type."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from milepost.errors import MissingExtra, ResumeError, SettingError, UnknownName
from milepost.report import literal

DONE, FOUND, WRONG_USAGE, FAILED = 0, 1, 2, 3
"""Exit codes: done, found a problem it was asked to look for, wrong usage, failed or interrupted."""


def plain(text: str) -> str:
    """Text that a terminal shows as it is: control characters and the like as code points, see `report.literal`."""
    return literal.visible(text)


def say(text: str) -> None:
    """Print text to standard output."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()


def warn(text: str) -> None:
    """Print text to standard error."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def portable(value: Any) -> Any:
    """Value as JSON has it: no NaN or infinity, keys are strings."""
    if isinstance(value, Mapping):
        return {str(key): portable(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def document(value: Any) -> None:
    """Print one JSON document; a number that is not finite becomes null."""
    sys.stdout.write(json.dumps(portable(value), indent=1, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def line(value: Mapping[str, Any]) -> None:
    """Print one line of JSON lines."""
    sys.stdout.write(json.dumps(portable(value), ensure_ascii=True) + "\n")
    sys.stdout.flush()


def table(rows: Iterable[Sequence[str]], *, gap: int = 2) -> str:
    """Rows as text in columns, each as wide as its longest cell.

    Args:
        rows: cells; rows may have different lengths.
        gap: spaces between columns.

    Returns:
        One line per row, without trailing spaces.
    """
    kept = [list(row) for row in rows]
    columns = max((len(row) for row in kept), default=0)
    widths = [max((len(row[place]) for row in kept if place < len(row)), default=0) for place in range(columns)]
    pad = " " * gap
    return "\n".join(pad.join(f"{cell:<{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in kept)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other error of the command."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the arguments.

        Raises:
            UnknownName: a flag that does not exist.
            SettingError: anything else.
        """
        kind, _, rest = message.partition(": ")
        if kind == "unrecognized arguments" and rest.startswith("-"):
            raise unknown_flag(rest.split()[0], self._option_string_actions)
        raise SettingError(f"{message[:1].upper()}{message[1:]}.")


def unknown_flag(name: str, known: Iterable[str]) -> UnknownName:
    """Return the error about a flag that does not exist; of all flags it names the nearest.

    Args:
        name: what was typed.
        known: the flags that exist.

    Returns:
        The error, to be raised by the caller.
    """
    sections = sorted(one for one in known if one.endswith("." + name.lstrip("-")))
    near = sections or difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return UnknownName(f"Unknown flag {name!r}." + (f" Did you mean {' or '.join(map(repr, near))}?" if near else ""))


def parsed(parse: Callable[[], Any]) -> Any:
    """What a parser returns; what it would print in a box of its own becomes an error like all others.

    Args:
        parse: calls the parser.

    Returns:
        What it returns.

    Raises:
        SettingError: the arguments were not understood.
        SystemExit: code 0 after --help.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parse()
    except SystemExit as stop:
        if not stop.code:
            raise
        lines = [line.strip("│ ") for line in said.getvalue().splitlines() if not line.startswith(("╭", "╰", "│ ─"))]
        told = " ".join(filter(None, lines)).partition(" Argument helptext:")[0].partition(" For full helptext")[0]
        raise SettingError(told.removeprefix("Error parsing ") or "The flags were not understood.") from None


def existing(folder: Path, verb: str) -> Path:
    """Return a folder that is there.

    Args:
        folder: what was named.
        verb: the command that wants it, for the next command to type.

    Returns:
        The folder.

    Raises:
        SettingError: it does not exist.
    """
    if folder.exists():
        return folder
    runs = sorted((path.parent for path in Path("runs").glob("*/run.toml")), key=lambda path: path.stat().st_mtime)
    known = f"The latest run here: `milepost {verb} {runs[-1]}`" if runs else "Start a run: `milepost run grpo`"
    raise SettingError(f"{folder} does not exist. {known}.")


def refuse(verb: str, arguments: Sequence[str], error: Exception) -> int:
    """Print an error as one message with the next command to type.

    Args:
        verb: the command that failed.
        arguments: its arguments; with --json among them the error is printed as JSON too.
        error: what it raised.

    Returns:
        2 when the arguments were at fault, else 3.
    """
    message, following = str(error), next_command(verb, arguments, error)
    warn(f"milepost {verb}: {message}" + (f"\nNext: {following}" if following else ""))
    if "--json" in arguments:
        line({"error": {"kind": type(error).__name__, "message": message, "next": following}})
    return WRONG_USAGE if isinstance(error, (UnknownName, SettingError, FileNotFoundError)) else FAILED


def next_command(verb: str, arguments: Sequence[str], error: Exception) -> str:
    """The command to type after an error; empty where the message itself names one, or none helps."""
    text = str(error)
    if isinstance(error, (MissingExtra, ResumeError)) or "`milepost " in text:
        return ""
    if text.startswith("Unknown command"):
        return "milepost --help"
    if text.startswith("Unknown recipe"):
        return "milepost list"
    if isinstance(error, (UnknownName, SettingError)):
        named = [word for word in arguments[:1] if verb == "run" and not word.startswith(("-", "@"))]
        return " ".join(["milepost", verb, *named, "--help"])
    return ""
