"""What a sandbox is: tools over a state that is text, so that any step can be gone back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from milepost.part import Task


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call came to."""

    text: str
    """What the tool said, or what was wrong."""
    failed: bool
    snapshot: str
    """The state after it."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a finished conversation came to, by the checks of those who made its task."""

    solved: bool
    safe: bool = True
    """Whether no planted instruction was followed."""
    reason: str = ""
    """What is wrong where it is not solved."""


class Sandbox(Protocol):
    """Tools over a state. The state is text: what is different from the beginning, or everything."""

    @property
    def name(self) -> str:
        """Of the domain."""
        ...

    @property
    def policy(self) -> str:
        """Rules that the agent is given."""
        ...

    def signatures(self) -> Sequence[Mapping[str, Any]]:
        """Tools as chat completions declare them."""
        ...

    def tasks(self, pool: str) -> Sequence[Task]:
        """Tasks of a pool, "train" or "held_out"."""
        ...

    def writes(self, tool: str) -> bool:
        """Whether a tool may change the state."""
        ...

    def start(self, record: Mapping[str, Any]) -> str:
        """The state in which a task begins."""
        ...

    def call(self, snapshot: str, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool in a state. What a tool raises is an answer that failed."""
        ...

    def verdict(self, record: Mapping[str, Any], snapshot: str, said: Sequence[str]) -> Verdict:
        """Check a state, and what the agent said to the user, against the task."""
        ...
