"""Curves of a run: metrics over training steps, thinned for drawing, and the spread over groups of answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from milepost.report.drawing.chart import Chart, Series
from milepost.report.stored.groups import quantile, spread
from milepost.report.stored.run import Run, Stored
from milepost.report.stored.steps import Steps

MOST_POINTS = 240
"""Points of one line at most; more are averaged in buckets, with the smallest and largest value as a band."""
MOST_FORESTS = 120
"""Stored forests read for the spread over groups; more are thinned evenly."""
ROUNDING = 1e-5
"""Relative change below which a line counts as constant."""
LOW, HIGH = 0.25, 0.75
"""Quantiles over groups between which the band lies."""


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Spread over groups of the mean reward of a group, by reward name, at the steps whose forests are kept."""

    steps: tuple[int, ...]
    low: Mapping[str, tuple[float, ...]]
    high: Mapping[str, tuple[float, ...]]


def evenly(items: Sequence[Stored], most: int) -> tuple[Stored, ...]:
    """Take at most `most` items, evenly, the first and the last among them.

    Args:
        items: in order.
        most: items at most, at least 2.

    Returns:
        The chosen items, in order.
    """
    if len(items) <= most:
        return tuple(items)
    places = {round(place * (len(items) - 1) / (most - 1)) for place in range(most)}
    return tuple(items[place] for place in sorted(places))


def bands(forests: Iterable[tuple[int, Steps]]) -> Bands:
    """Read the spread of rewards over groups.

    Args:
        forests: training step and forest, by rising step.

    Returns:
        The quartiles over groups of the mean over the rewarded rows of a group, which is what the curve is of the
        whole step; NaN where no group has one.
    """
    steps: list[int] = []
    low: dict[str, list[float]] = {}
    high: dict[str, list[float]] = {}
    for step, forest in forests:
        for name in forest.rewards:
            means = [one for rows in forest.trees.values() if not math.isnan(one := _mean(forest, name, rows))]
            for side, probability in ((low, LOW), (high, HIGH)):
                gap = [math.nan] * (len(steps) - len(side.get(name, [])))
                side.setdefault(name, []).extend([*gap, quantile(means, probability)])
        steps.append(step)
    filled = {
        side: {name: (*values, *[math.nan] * (len(steps) - len(values))) for name, values in found.items()}
        for side, found in (("low", low), ("high", high))
    }
    return Bands(steps=tuple(steps), low=filled["low"], high=filled["high"])


def _mean(forest: Steps, name: str, rows: Sequence[int]) -> float:
    return spread([forest.number(f"reward.{name}", row) for row in rows]).mean


def thin(x: Sequence[float], y: Sequence[float | None], most: int = MOST_POINTS) -> Series:
    """Average a long line in buckets of equal length.

        y_b = mean of the known y in bucket b,   band from their minimum to their maximum

    Args:
        x: rising places.
        y: values; None where unknown.
        most: points at most.

    Returns:
        A nameless series; without a band if nothing was averaged.
    """
    if len(x) <= most:
        return Series(name="", x=tuple(x), y=tuple(y))
    edges = [round(place * len(x) / most) for place in range(most + 1)]
    places: list[float] = []
    rows: list[tuple[float | None, float | None, float | None]] = []
    for start, stop in itertools.pairwise(edges):
        known = [v for v in y[start:stop] if v is not None and math.isfinite(v)]
        places.append(x[(start + stop - 1) // 2])
        rows.append((math.fsum(known) / len(known), min(known), max(known)) if known else (None, None, None))
    middle, low, high = zip(*rows, strict=True)
    return Series(name="", x=tuple(places), y=middle, low=low, high=high)


def metric(records: Sequence[Mapping[str, Any]], name: str, label: str, number: int = 0) -> Series | None:
    """Read one metric over steps.

    Args:
        records: one per step, with "step".
        name: name of the metric.
        label: how the line is called.
        number: number of the line, which gives its colour.

    Returns:
        The line; None if no step has a finite value.
    """
    rows = [(float(r["step"]), r.get(name)) for r in records if isinstance(r.get("step"), int | float)]
    values = [float(v) if isinstance(v, int | float) and math.isfinite(v) else None for _, v in rows]
    if not any(value is not None for value in values):
        return None
    line = thin([step for step, _ in rows], values)
    return Series(name=label, x=line.x, y=line.y, low=line.low, high=line.high, number=number)


def held_out(run: Run) -> Chart:
    """Success on held-out tasks at each evaluation, with its interval."""
    rows = [e for e in run.evaluations if isinstance(e.get("step"), int | float)]
    line = Series(
        name="Held-out success",
        x=[float(e["step"]) for e in rows],
        y=[_number(e.get("success")) for e in rows],
        low=[_number(e.get("low")) for e in rows],
        high=[_number(e.get("high")) for e in rows],
        whiskers=True,
    )
    return Chart(
        title="Success on held-out tasks",
        lines=(line,),
        note="bars: 95 % interval over tasks",
        unit="share",
        floor=0,
        ceiling=1,
    )


def measures(run: Run) -> tuple[Chart, ...]:
    """One chart per measure of the held-out answers as a whole, at each evaluation."""
    rows = [
        e for e in run.evaluations if isinstance(e.get("step"), int | float) and isinstance(e.get("measures"), dict)
    ]
    names = dict.fromkeys(name for e in rows for name in e["measures"])
    found: list[Chart] = []
    for number, name in enumerate(names):
        values = [_number(e["measures"].get(name)) for e in rows]
        line = Series(name=name, x=[float(e["step"]) for e in rows], y=values, number=number)
        floor = 0 if min((v for v in values if v is not None), default=0) >= 0 else None
        found.append(Chart(title=f"Held out: {name.replace('_', ' ')}", lines=(line,), floor=floor))
    return tuple(found)


def rewards(run: Run, spread: Bands) -> tuple[Chart, ...]:
    """One chart per reward: its mean over answers, and the band over groups."""
    names = [n.removeprefix("reward/").removesuffix("_mean") for n in _metric_names(run) if _is_mean(n)]
    found: list[Chart] = []
    for number, name in enumerate(sorted(dict.fromkeys([*names, *spread.low]), key=lambda n: (n == "total", n))):
        line = metric(run.metrics, f"reward/{name}_mean", name, number)
        band = _band(spread, name, number)
        lines = tuple(one for one in (band, line) if one is not None)
        if lines:
            note = "band: the middle half of the groups" if band is not None else ""
            values = [v for one in lines for v in (*one.y, *one.low) if v is not None and math.isfinite(v)]
            floor = 0 if min(values, default=0) >= 0 else None  # a reward without negative values is drawn from 0
            found.append(Chart(title=f"Reward: {name}", lines=lines, note=note, floor=floor))
    return tuple(chart for chart in found if chart.known)


def _band(spread: Bands, name: str, number: int) -> Series | None:
    if name not in spread.low:
        return None
    nothing = [None] * len(spread.steps)
    return Series(
        name=f"{name}, groups", x=spread.steps, y=nothing, low=spread.low[name], high=spread.high[name], number=number
    )


def _is_mean(name: str) -> bool:
    return name.startswith("reward/") and name.endswith("_mean")


def _metric_names(run: Run) -> list[str]:
    return list(dict.fromkeys(name for record in run.metrics for name in record))


_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("objective/loss", "Loss", "number"),
    ("objective/kl", "KL to the reference", "number"),
    ("objective/clip_fraction", "Clipped", "share"),
    ("objective/entropy", "Entropy", "number"),
    ("update/gradient_norm", "Gradient norm", "number"),
    ("grow/truncated", "Answers cut by a limit", "share"),
    ("grow/tokens_mean", "Tokens per answer", "number"),
)


def groups_and_failures(run: Run) -> tuple[Chart, ...]:
    """Share of dead groups, and of failed rewards by name, over steps."""
    found: list[Chart] = []
    dead = metric(run.metrics, "credit/dead_groups", "Dead groups")
    if dead is not None:
        note = "groups whose rewards are all equal teach nothing"
        found.append(Chart(title="Dead groups", lines=(dead,), note=note, unit="share", floor=0))
    names = [name for name in _metric_names(run) if name.startswith("reward/") and name.endswith("_failed")]
    parts = [name for name in names if name != "reward/total_failed"] or names
    lines = [
        metric(run.metrics, name, name.removeprefix("reward/").removesuffix("_failed"), number)
        for number, name in enumerate(sorted(parts))
    ]
    if known := tuple(line for line in lines if line is not None):
        found.append(Chart(title="Failed rewards", lines=known, unit="share", floor=0))
    return tuple(found)


def training(run: Run) -> tuple[Chart, ...]:
    """Charts of everything else that was measured per step: objective, update, choice of tasks, answers."""
    found: list[Chart] = []
    told = {name for name, _, _ in _KNOWN}
    others = [(name, title(name), "number") for name in _metric_names(run) if _further(name, told)]
    for name, told_as, unit in (*_KNOWN, *others):
        line = metric(run.metrics, name, told_as)
        if line is not None and not (name not in told and _constant(line)):
            note = "band: smallest to largest" if line.low else ""
            found.append(
                Chart(title=told_as, lines=(line,), note=note, unit=unit, floor=0 if unit == "share" else None)
            )
    return tuple(found)


def title(name: str) -> str:
    """What a metric is called on a page.

    Args:
        name: such as "reward/total_mean".

    Returns:
        Such as "Reward: total mean".
    """
    known = {metric: told for metric, told, _ in _KNOWN} | {"credit/dead_groups": "Dead groups"}
    stage, _, quantity = name.partition("/")
    return known.get(name, f"{stage.capitalize()}: {quantity.replace('_', ' ')}")


def _constant(line: Series) -> bool:
    """Whether nothing but rounding moves a line."""
    known = [value for value in line.y if value is not None]
    largest = max((abs(value) for value in known), default=0.0)
    return not known or max(known) - min(known) <= ROUNDING * largest


def _further(name: str, told: set[str]) -> bool:
    return "/" in name and name not in {*told, "credit/dead_groups"} and not name.startswith(("reward/", "cost/"))


def costs(run: Run) -> tuple[Chart, ...]:
    """One chart per kind of cost of a step, and one of seconds by stage."""
    found: list[Chart] = []
    for name in (name for name in _metric_names(run) if name.startswith("cost/")):
        line = metric(_spent(run.metrics, name), name, name.removeprefix("cost/"))
        if line is not None and not _constant(line):
            told = name.removeprefix("cost/").replace("_", " ").capitalize() + " per step"
            found.append(Chart(title=told, lines=(line,), unit="count", floor=0))
    if run.timings:
        stages = list(dict.fromkeys(name for record in run.timings for name in record if name != "step"))
        lines = [
            metric(run.timings, stage, stage.removeprefix("seconds/"), number) for number, stage in enumerate(stages)
        ]
        if known := tuple(line for line in lines if line is not None):
            found.append(Chart(title="Seconds per step", lines=known, unit="seconds", floor=0))
    return tuple(found)


def _spent(records: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """What each step spent, from running sums."""
    found: list[Mapping[str, Any]] = []
    before = 0.0
    for record in records:
        total = _number(record.get(name))
        found.append({"step": record.get("step"), name: None if total is None else total - before})
        before = before if total is None else total
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
