"""The errors milepost raises: a message says what happened, what was received, what was expected, how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MilepostError(Exception):
    """Parent of every error that milepost raises on purpose."""


class SettingError(MilepostError, ValueError):
    """A setting has a value outside its range, or settings contradict each other."""


class ShapeError(MilepostError, ValueError):
    """A tensor has the wrong shape or type, or two tensors that must agree do not."""


class ColumnError(MilepostError, KeyError):
    """A forest lacks a column, has one it must not have, or holds invalid values in it."""

    def __str__(self) -> str:
        """Return the message itself, without the quotes that `KeyError` adds."""
        return str(self.args[0]) if self.args else ""


class UnknownName(MilepostError, LookupError):
    """A recipe, part, key or task of that name does not exist."""


class FormatError(MilepostError, ValueError):
    """A file or a record is not what its format says."""


class SandboxError(MilepostError, RuntimeError):
    """Isolation that was asked for cannot be had, or was broken."""


class MissingExtra(MilepostError, ImportError):
    """An optional dependency is not installed."""


class ResumeError(MilepostError, RuntimeError):
    """A run cannot be continued as asked."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return an `UnknownName` that lists what exists and suggests the nearest name.

    Args:
        kind: what was looked for, such as "recipe" or "key".
        name: the name that was received.
        known: the names that exist.

    Returns:
        The error, to be raised by the caller.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(choices) if choices else "none"
    return UnknownName(f"Unknown {kind} {name!r}.{hint} Known: {listed}.")
