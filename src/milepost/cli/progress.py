"""What a run shows while it goes: live lines in a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from milepost.cli import output
from milepost.engines.events import Event, OnEvent
from milepost.engines.pairs import UNLIMITED

PLAIN_EVERY_S = 2.0
"""Seconds between plain lines about steps; what is not a step is always printed."""
_WINDOW = 20
_REFRESHED = "tasks scored again to choose among them"


class View(AbstractContextManager["View"], Protocol):
    """Shows the events of one or several runs."""

    def of(self, label: str, limits: Mapping[str, float]) -> OnEvent:
        """What to tell the events of a run to.

        Args:
            label: names the run where there are several; else empty.
            limits: its budget by unit.
        """
        ...


@dataclass(kw_only=True)
class Pace:
    """How fast a run goes, and how long it still needs."""

    limits: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    marks: deque[tuple[float, int, Mapping[str, float]]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def tell(self, event: Event) -> None:
        """Note the time at the start of a run and after every step."""
        if event.stage == "start":
            self.marks.clear()
        if event.stage in ("start", "update"):
            cost = {n.removeprefix("cost/"): v for n, v in event.numbers.items() if n.startswith("cost/")}
            self.marks.append((self.clock(), event.step, cost))

    @property
    def seconds_per_step(self) -> float:
        """Mean over the last steps; NaN before two marks."""
        (first, from_step, _), (last, to_step, _) = self.marks[0], self.marks[-1]
        return (last - first) / (to_step - from_step) if to_step > from_step else math.nan

    def remaining(self, steps: int) -> float:
        """Seconds until the last step or the end of the budget, whichever is sooner; NaN while unknown."""
        if len(self.marks) < 2:
            return math.nan
        (first, _, before), (last, step, now) = self.marks[0], self.marks[-1]
        found = [(steps - step) * self.seconds_per_step]
        for unit, limit in self.limits.items():
            spent = now.get(unit, 0.0) - before.get(unit, 0.0)
            if spent > 0:
                found.append(max(0.0, limit - now.get(unit, 0.0)) / spent * (last - first))
        return min(found)

    def rate(self, unit: str) -> float:
        """Units per second over the last steps; NaN while unknown."""
        if len(self.marks) < 2:
            return math.nan
        (first, _, before), (last, _, now) = self.marks[0], self.marks[-1]
        return (now.get(unit, 0.0) - before.get(unit, 0.0)) / (last - first) if last > first else math.nan


def stages(numbers: Mapping[str, float], pace: Pace) -> dict[str, str]:
    """One short text per stage of a step.

    Args:
        numbers: metrics of the step.
        pace: of the run.

    Returns:
        Stage to text; a stage with nothing to say is left out.
    """

    def said(pattern: str, name: str) -> str:
        return pattern.format(numbers[name]) if name in numbers else ""

    means = [
        f"{name.removeprefix('reward/').removesuffix('_mean')} {value:.3f}"
        for name, value in numbers.items()
        if name.startswith("reward/") and name.endswith("_mean")
    ]
    tokens = pace.rate("tokens")
    failed = numbers.get("reward/total_failed")
    found = {
        "grow": [
            f"{short(tokens)} tokens/s" if tokens > 0 else "",
            said("{:.1f} tokens each", "grow/tokens_mean"),
            said("truncated {:.1%}", "grow/truncated"),
        ],
        "score": ["" if failed is None else f"valid rewards {1 - failed:.1%}", *means],
        "credit": [said("dead groups {:.1%}", "credit/dead_groups")],
        "update": [
            "skipped" if numbers.get("update/skipped") else "",
            said("loss {:+.4f}", "objective/loss"),
            said("clipped {:.1%}", "objective/clip_fraction"),
            said("gradient norm {:.3f}", "update/gradient_norm"),
        ],
    }
    texts = {stage: "  ".join(part for part in parts if part) for stage, parts in found.items()}
    for stage, text in texts.items():
        seconds = numbers.get(f"seconds/{stage}")
        if seconds is not None:
            texts[stage] = f"{seconds:.2f} s  {text}".rstrip()
    return {stage: text for stage, text in texts.items() if text}


def short(number: float) -> str:
    """Number in at most four characters and a unit prefix, such as 8.2k."""
    if not math.isfinite(number):
        return "?"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss; "?" while unknown."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _head(event: Event, pace: Pace, label: str) -> str:
    timing = f"{pace.seconds_per_step:.2f} s/step  remaining {duration(pace.remaining(event.steps))}"
    name = f"{label}  " if label else ""
    return f"{name}{_place(event, pace)}  {timing if len(pace.marks) > 1 else 'starting'}"


def _place(event: Event, pace: Pace) -> str:
    """How far a run is: of its steps, or of its budget where only that ends it."""
    if event.steps < UNLIMITED:
        return f"step {event.step}/{event.steps}"
    cost = pace.marks[-1][2] if pace.marks else {}
    spent = [f"{short(cost.get(unit, 0.0))} of {short(limit)} {unit}" for unit, limit in pace.limits.items()]
    return "  ".join([f"step {event.step}", *spent])


def _held_out(event: Event) -> str:
    found = event.numbers
    low, high = found.get("evaluate/low", math.nan), found.get("evaluate/high", math.nan)
    spread = f" ({low:.1%} to {high:.1%})" if math.isfinite(low) else ""  # one task has no interval
    return f"held-out success {found.get('evaluate/success', math.nan):.1%}{spread}"


@dataclass(kw_only=True)
class JsonLines:
    """One JSON object per event: `event`, `run`, `step`, `steps`, `numbers`, `message`, `remaining_s`."""

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to close."""

    def of(self, label: str, limits: Mapping[str, float]) -> OnEvent:
        """Print the events of a run."""
        pace = Pace(limits=limits)

        def tell(event: Event) -> None:
            pace.tell(event)
            output.line(
                {
                    "event": event.stage,
                    "run": label,
                    "step": event.step,
                    "steps": event.steps,
                    "numbers": event.numbers,
                    "message": event.message,
                    "remaining_s": pace.remaining(event.steps) if pace.marks else None,
                }
            )

        return tell


@dataclass(kw_only=True)
class PlainLines:
    """A line per event that says something, and one about the steps every `every_s` seconds."""

    every_s: float = PLAIN_EVERY_S
    clock: Callable[[], float] = time.monotonic

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to close."""

    def of(self, label: str, limits: Mapping[str, float]) -> OnEvent:
        """Print the events of a run."""
        pace, last = Pace(limits=limits, clock=self.clock), [-math.inf]
        name = f"{label}  " if label else ""

        def tell(event: Event) -> None:
            pace.tell(event)
            if event.stage == "evaluate":
                output.say(f"{name}{_place(event, pace)}  {_held_out(event)}")
            elif event.stage == "warning":
                output.say(f"{name}{_place(event, pace)}  warning: {event.message}")
            elif event.stage == "refresh":
                output.say(f"{name}{_place(event, pace)}  {_REFRESHED}")
            elif event.stage == "update" and (self.clock() - last[0] >= self.every_s or event.step == event.steps):
                last[0] = self.clock()
                said = "  ".join(f"{stage}: {text}" for stage, text in stages(event.numbers, pace).items())
                output.say(f"{_head(event, pace, label)}  {said}")

        return tell


@dataclass(kw_only=True)
class LiveLines:
    """One line per stage that is renewed in place."""

    console: Console
    live: Live | None = None

    def __enter__(self) -> Self:
        """Take over the last lines of the terminal."""
        self.live = Live(console=self.console, refresh_per_second=4, transient=True)
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give the lines back."""
        if self.live is not None:
            self.live.stop()

    def of(self, label: str, limits: Mapping[str, float]) -> OnEvent:
        """Show the events of a run."""
        pace = Pace(limits=limits)
        lines: dict[str, str] = {}

        def tell(event: Event) -> None:
            pace.tell(event)
            if event.stage == "warning":
                self.console.print(Text(output.plain(f"warning: {event.message}"), style="yellow"))
            elif event.stage == "evaluate":
                lines["held out"] = f"{_held_out(event)} at step {event.step}"
            elif event.stage == "refresh":
                lines["choose"] = f"{_REFRESHED} at step {event.step}"
            elif event.stage == "update":
                lines.update(stages(event.numbers, pace))
            rows = [Text(_head(event, pace, label), style="bold")] if pace.marks else []
            rows += [Text(output.plain(f"  {stage:<9} {text}")) for stage, text in lines.items()]
            if self.live is not None:
                self.live.update(Group(*rows))

        return tell


def view(*, as_json: bool) -> View:
    """The view that suits where the output goes.

    Args:
        as_json: whether the user asked for JSON lines.

    Returns:
        A context manager.
    """
    if as_json:
        return JsonLines()
    return LiveLines(console=Console()) if sys.stdout.isatty() else PlainLines()
