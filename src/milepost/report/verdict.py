"""What a run came to, in one sentence with an interval, and the figures beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from milepost.engines.pairs import UNLIMITED
from milepost.report import figures
from milepost.report.drawing import shapes
from milepost.report.stored import tables
from milepost.report.stored.run import Run

MANY_FAILED = 0.1
"""Share of failed rewards from which the head of the report warns."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Paired change of success between the first and the last evaluation, with a 95 % interval over tasks."""

    gain: float
    low: float
    high: float
    tasks: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The head of the report."""

    eyebrow: str
    first: float | None
    last: float | None
    drawing: Markup
    sentence: str
    note: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure beside the verdict."""

    name: str
    value: str
    detail: str = ""


def change(first: Sequence[tables.Outcome], last: Sequence[tables.Outcome]) -> Change | None:
    """Compare two evaluations task by task.

        d_t = success_t after - success_t before,   mean of d_t with Student's t interval

    Args:
        first: outcomes of the earlier evaluation.
        last: outcomes of the later one.

    Returns:
        The change over the tasks that both could judge; None if there is none.
    """
    from milepost.evaluation import intervals  # imports torch, which listing and reading runs must not

    before = {one.task: one.success for one in first}
    gains = [one.success - before[one.task] for one in last if one.task in before]
    if not gains:
        return None
    found = intervals.mean_interval(gains)
    return Change(gain=found.estimate, low=max(found.low, -1.0), high=min(found.high, 1.0), tasks=len(gains))


def bounds(found: Sequence[tables.Outcome], family: str) -> tuple[float | None, float | None]:
    """95 % interval of the success of one family, over its tasks.

    Args:
        found: outcomes of an evaluation.
        family: name of the family.

    Returns:
        Low and high, cut to [0, 1]; None where fewer than two tasks are known.
    """
    from milepost.evaluation import intervals  # imports torch, which listing and reading runs must not

    known = [one.success for one in found if one.family == family]
    if len(known) < 2:
        return None, None
    wide = intervals.mean_interval(known)
    return max(0.0, wide.low), min(1.0, wide.high)


def verdict(run: Run, found: Change | None) -> Verdict:
    """Say what a run came to.

    Args:
        run: the run.
        found: paired change of held-out success; None if it is not known.

    Returns:
        The head of the report; it claims a change only where the interval excludes 0.
    """
    records = [r for r in run.evaluations if isinstance(r.get("success"), int | float)]
    warnings = _warnings(run)
    if not records:
        return Verdict(
            eyebrow="No evaluation stored",
            first=None,
            last=None,
            drawing=Markup(""),
            sentence="This run holds no evaluation on held-out tasks, so nothing is claimed about success.",
            note="",
            warnings=warnings,
        )
    first, last = records[0], records[-1]
    single = len(records) == 1
    bounds = [_bound(one, side) for one in (first, last) for side in ("low", "high")]
    return Verdict(
        eyebrow="Success on held-out tasks",
        first=None if single else float(first["success"]),
        last=float(last["success"]),
        drawing=shapes.before_after(
            math.nan if single else float(first["success"]), float(last["success"]), bounds, "Held-out success"
        ),
        sentence=_only(last) if single else _sentence(found, first, last),
        note=" ".join(told for told in ("" if single else _intervals(first, last), _beside(first, last)) if told),
        warnings=warnings,
    )


def _bound(record: Mapping[str, Any], side: str) -> float | None:
    value = record.get(side)
    return float(value) if isinstance(value, int | float) else None


def _only(record: Mapping[str, Any]) -> str:
    tasks = record.get("tasks", "an unknown number of")
    step = record.get("step", 0)
    return (
        f"Measured once, after {step} training steps, on {tasks} tasks: 95 % interval {_range(record)}. "
        "There is no change to report yet."
    )


def _range(record: Mapping[str, Any]) -> str:
    return f"{figures.share(_bound(record, 'low'))} to {figures.share(_bound(record, 'high'))}"


def _intervals(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    told = f"95 % intervals over tasks: {_range(first)} before, {_range(last)} after"
    samples = last.get("samples")
    if not all(math.isfinite(math.nan if low is None else low) for low in (_bound(first, "low"), _bound(last, "low"))):
        told = "No interval: that takes two tasks at least"
    return told + (f"; {samples} answers per task." if samples else ".")


def _beside(first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """What was measured beside success, before and after."""
    before, after = (one.get("measures", {}) for one in (first, last))
    told = [
        f"{name.replace('_', ' ')} {figures.fixed(before.get(name), 3)} to {figures.fixed(value, 3)}"
        for name, value in after.items()
    ]
    return f"Measured beside it: {', '.join(told)}." if told else ""


def _sentence(found: Change | None, first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    steps = int(last.get("step", 0)) - int(first.get("step", 0))
    if found is None:
        gain = float(last["success"]) - float(first["success"])
        return f"{figures.points(gain)} points in {steps} steps. The stored evaluations cannot be paired: no interval."
    span = f"{figures.points(found.low)} to {figures.points(found.high)}"
    tasks = f"{found.tasks} held-out task{'s' if found.tasks > 1 else ''}, in {steps} steps"
    if not math.isfinite(found.low):
        return f"{figures.points(found.gain)} points on {tasks}; too few tasks for an interval."
    if found.low <= 0 <= found.high:
        return (
            f"No change can be told: {figures.points(found.gain)} points on {tasks}, and the 95 % interval of the "
            f"paired change, {span}, includes 0."
        )
    word = "rose" if found.gain > 0 else "fell"
    size = figures.points(abs(found.gain)).lstrip("+")
    return f"Success {word} by {size} points on {tasks}. 95 % interval of the paired change: {span} points."


def _warnings(run: Run) -> tuple[str, ...]:
    found: list[str] = []
    planned = planned_steps(run)
    if planned is not None and len(run.metrics) < planned:
        found.append(f"The run stopped after {len(run.metrics)} of {planned} steps.")
    skipped = sum(record.get("update/skipped", 0) == 1 for record in run.metrics)
    if skipped:
        found.append(
            f"{skipped} of {len(run.metrics)} steps changed no weights: no live group, or too many failed rewards."
        )
    failed = [f for r in run.metrics if isinstance(f := r.get("reward/total_failed"), int | float)]
    if failed and math.fsum(failed) / len(failed) > 0.1:
        found.append(
            f"{figures.share(math.fsum(failed) / len(failed))} of the rewards failed; see Rewards and failures."
        )
    return tuple(found)


def planned_steps(run: Run) -> int | None:
    """Training steps that the run owes; None if it does not say, or ends with its budget and not by steps."""
    value = run.manifest.get("steps")
    return value if isinstance(value, int) and value < UNLIMITED else None


def facts(run: Run) -> tuple[Fact, ...]:
    """The figures beside the verdict: steps, time, cost, failures, dead groups, seed."""
    planned = planned_steps(run)
    spent = sum(row.total for row in tables.seconds(run))
    found = [
        Fact(
            name="Training steps",
            value=figures.count(len(run.metrics)),
            detail=f"of {planned}" if planned is not None and planned != len(run.metrics) else "",
        ),
        Fact(
            name="Training time",
            value=figures.duration(spent) if run.timings else figures.MISSING,
            detail=f"{figures.duration(spent / len(run.timings))} per step" if run.timings else "",
        ),
    ]
    found += [Fact(name=row.unit.capitalize(), value=figures.count(row.total)) for row in _spent(run)]
    rows = {row.name: row for row in tables.rewards(run)}
    main = rows.get("total") or next(iter(rows.values()), None)
    if main is not None:
        found.append(Fact(name="Failed rewards", value=figures.share(main.failed)))
    dead = [float(v) for r in run.metrics if isinstance(v := r.get("credit/dead_groups"), int | float)]
    if dead:
        found.append(
            Fact(name="Dead groups", value=figures.share(dead[-1], 0), detail=f"{figures.share(dead[0], 0)} at first")
        )
    seed = run.manifest.get("seed", run.settings.get("seed"))
    return (*found, Fact(name="Seed", value=figures.MISSING if seed is None else str(seed)))


def _spent(run: Run) -> list[tables.CostRow]:
    wanted = ("tokens", "model calls", "reward calls")
    rows = {row.unit: row for row in tables.costs(run)}
    return [rows[unit] for unit in wanted if unit in rows and rows[unit].total > 0]
