"""Programs that nobody vouches for: what is run, within which limits, and what comes back. `jail/` runs them.

Imports the standard library only, because the process that confines itself imports this too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from milepost import checks
from milepost.errors import SettingError

LONGEST_SOURCE = 1 << 18
"""Characters of a program that are accepted."""


@dataclass(frozen=True, kw_only=True)
class Program:
    r"""A program as text, and the function in it that is called.

    Example:
        >>> Program(source="def compute_reward(action):\n    return -abs(action)").digest[:8]
        '4e4669ae'
    """

    source: str
    """Python text."""
    entry: str = "compute_reward"
    """Function that is called with the fields of each input as keyword arguments."""
    arrays: bool = False
    """Whether lists of numbers arrive as NumPy arrays."""

    def __post_init__(self) -> None:
        """Check the name and the size."""
        if not self.entry.isidentifier():
            raise SettingError(f"entry={self.entry!r} is not allowed: expected the name of a function.")
        if not 0 < len(self.source) <= LONGEST_SOURCE:
            raise SettingError(f"The program has {len(self.source)} characters: expected 1 to {LONGEST_SOURCE}.")

    @property
    def digest(self) -> str:
        """SHA-256 of the program in hexadecimal: a changed program is another one."""
        head = f"{self.entry}\0{int(self.arrays)}\0"
        return hashlib.sha256((head + self.source).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one call of a program may use."""

    timeout_s: float = 1.0
    """Seconds on the clock, and of the processor."""
    memory_bytes: int = 256 << 20
    """Memory beyond what the interpreter itself holds."""
    output_bytes: int = 64 << 10
    """What it may print; a program that prints more is ended."""
    answer_bytes: int = 1 << 20
    """Longest answer, as JSON."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("timeout_s", self.timeout_s)
        checks.at_least("memory_bytes", self.memory_bytes, 1 << 20)
        checks.at_least("output_bytes", self.output_bytes, 0)
        checks.at_least("answer_bytes", self.answer_bytes, 16)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one call came to."""

    value: Any = None
    """JSON: None, bool, number, string, list, mapping. Numbers are finite."""
    reason: str | None = None
    """None where the program answered; else a code of `columns.REASONS`, with a detail after ': '."""
    output: str = ""
    """The beginning of what it printed."""
    seconds: float = 0.0


class Jail(Protocol):
    """A level of isolation that was shown to hold on this machine."""

    level: ClassVar[str]
    """Name of the level: "interpreter", "process", "external", "off"."""

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> Sequence[Answer]:
        """Call the program once per input, each call without memory of the others; answers in their order."""
        ...
