"""The levels by name. A level that cannot be had is refused; none is ever replaced by another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from milepost.errors import MilepostError, MissingExtra, SandboxError, SettingError, unknown_name
from milepost.jail import process
from milepost.jail.external import External
from milepost.jail.interpreter import Interpreter
from milepost.jail.off import Off
from milepost.jail.probe import Probe, probe
from milepost.jail.process import Process
from milepost.programs.program import Limits

Level: TypeAlias = Interpreter | Process | External | Off

LEVELS = ("interpreter", "process", "external", "off")
"""Names of the levels; "off" isolates nothing and is had by its name only."""

_PROBE_LIMITS = Limits(timeout_s=0.5, memory_bytes=64 << 20)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether a level can be had here."""

    level: str
    layers: tuple[str, ...]
    probes: tuple[Probe, ...]
    missing: str
    """Why it cannot be had; empty where it can."""


def opened(level: str, *, limits: Limits | None = None, command: Sequence[str] = (), together: int = 1) -> Level:
    """Open a level, after ten attacks on it were refused.

    Args:
        level: one of `LEVELS`.
        limits: of one call.
        command: what level "external" runs.
        together: inputs that share a process at level "process".

    Returns:
        The level; it confines every program that it runs.

    Raises:
        UnknownName: no such level.
        SandboxError: this machine cannot have the level, or an attack got through. No other level is taken instead.
        MissingExtra: a package that the level needs is not installed.
        SettingError: a command without level "external", or that level without a command.

    Example:
        >>> from milepost.programs.program import Program
        >>> jail = opened("process")
        >>> jail.run(Program(source="def compute_reward(x): return x + 1"), [{"x": 1}])[0].value
        2
    """
    if level not in LEVELS:
        raise unknown_name("level of isolation", level, LEVELS)
    if bool(command) != (level == "external"):
        raise SettingError(f"level={level!r} and command={tuple(command)} do not fit: only 'external' takes a command.")
    limits = limits or Limits()
    if level == "off":
        return Off(limits=limits)
    made = _made(level, limits, tuple(command), together)
    _shown(level, tuple(command), os.getpid())
    return made


def _made(level: str, limits: Limits, command: tuple[str, ...], together: int) -> Interpreter | Process | External:
    if level == "interpreter":
        return Interpreter(limits=limits)
    if level == "external":
        return External(command=command, limits=limits)
    lacking = process.missing()
    if lacking:
        raise SandboxError(f"Level 'process' cannot be had on this machine: {lacking}. Use level 'interpreter'.")
    return Process(limits=limits, together=together)


@lru_cache(maxsize=16)
def _shown(level: str, command: tuple[str, ...], _process: int) -> tuple[Probe, ...]:
    """Attack a level once in the life of this process."""
    made = _made(level, _PROBE_LIMITS, command, 1)
    found = probe(made, timeout_s=_PROBE_LIMITS.timeout_s + (made.start_s if isinstance(made, External) else 0.0))
    got_through = [one for one in found if not one.refused]
    if got_through:
        first = got_through[0]
        raise SandboxError(
            f"Level {level!r} does not hold on this machine: the attack {first.attack!r} got through ({first.how}). "
            "Programs are not run. Choose another level by name."
        )
    return found


def standing(level: str) -> Standing:
    """Whether a level can be had here, and what became of the attacks on it.

    Args:
        level: "interpreter" or "process".

    Returns:
        The record; an error becomes its `missing`.

    Raises:
        UnknownName: no such level, or one that is not probed by its name alone.
    """
    if level not in ("interpreter", "process"):
        raise unknown_name("level that can be probed", level, ("interpreter", "process"))
    try:
        made = _made(level, _PROBE_LIMITS, (), 1)
        found = probe(made, timeout_s=_PROBE_LIMITS.timeout_s)
    except (SandboxError, MissingExtra) as error:
        return Standing(level=level, layers=(), probes=(), missing=_one_line(error))
    through = [one.attack for one in found if not one.refused]
    return Standing(
        level=level, layers=made.layers, probes=found, missing=f"got through: {', '.join(through)}" if through else ""
    )


def _one_line(error: MilepostError) -> str:
    return " ".join(str(error).split())
