"""Equal seconds: how many steps two methods get, so that they take the same time on this machine.

A run itself depends on its settings alone, so it is not cut off by a clock: a short pilot says what a step takes, and
the steps of each run follow from that and from what the runs before it took. The comparison then depends on the
machine, the runs do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from milepost import checks
from milepost.engines.journal import TIMES
from milepost.engines.settings import RunSettings

SECONDS = "seconds"
PILOT = 4
"""Steps of a pilot; the first is slower than the rest and does not count."""


def seconds_of(folder: Path) -> list[float]:
    """What each training step of a run took, evaluation and storing left out.

    Args:
        folder: of a run.

    Returns:
        Seconds per step, in order; empty where nothing was timed.
    """
    path = folder / TIMES
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records = [cast("dict[str, float]", json.loads(line)) for line in lines if line.strip()]
    return [sum(value for name, value in record.items() if name != "step") for record in records]


def typical(times: Sequence[float]) -> float:
    """Median seconds of a step, the first left out where there are others.

    Args:
        times: as `seconds_of` returns them; at least one.

    Returns:
        Seconds, above 0.
    """
    checks.not_empty("times", tuple(times))
    ordered = sorted(times[1:] or times)
    middle = len(ordered) // 2
    found = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return max(found, 1e-9)


def steps_for(seconds: float, step: float) -> int:
    """Steps that take about the given time.

        max(1, seconds / step), rounded

    Args:
        seconds: to be spent.
        step: seconds of one step, above 0.

    Returns:
        At least 1.
    """
    return max(1, round(seconds / step))


def pilot(settings: RunSettings) -> RunSettings:
    """Settings of a run that is only timed.

    Args:
        settings: of the run it stands for.

    Returns:
        The same with few steps and no budget.
    """
    return fixed(settings, PILOT)


def fixed(settings: RunSettings, steps: int) -> RunSettings:
    """Settings of a run of so many steps.

    Args:
        settings: of the run.
        steps: how many.

    Returns:
        The settings without a budget.
    """
    return replace(settings, cost={}, update=replace(settings.update, steps=steps))
