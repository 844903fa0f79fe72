"""What a run tells whoever watches it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened: a stage of a step ended, or the run has something to say."""

    stage: str
    """Of "start", "refresh", "grow", "score", "update", "checkpoint", "evaluate", "warning", "done"."""
    step: int
    steps: int
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metrics of the stage, named `stage/quantity`; time under "seconds" and "seconds/<stage>"."""
    message: str = ""


OnEvent: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Success on held-out tasks, with a 95 % interval over tasks."""

    step: int
    success: float
    low: float
    high: float
    tasks: int
    samples: int
    """Answers per task."""
    by_family: Mapping[str, float]
    rewards: Mapping[str, float]
    """Mean of every reward of the recipe over the scored answers."""
    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    """What the recipe measures beside them, such as "diversity"; without those that could not be had."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to."""

    folder: Path
    steps_done: int
    first: Evaluation
    last: Evaluation
    gain: float
    """Last success less the first, on the same tasks."""
    gain_low: float
    gain_high: float
    cost: Mapping[str, float]
    """Spent in all, by unit; scoring passes included, evaluation not."""
    stopped: str
    """"finished", or "budget" when the cost limit was reached first."""
