"""Tables of a report: rewards by name, reasons of failure, cost, held-out success by family, settings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from milepost.report import figures
from milepost.report.stored.groups import spread
from milepost.report.stored.run import Run
from milepost.report.stored.steps import Steps


@dataclass(frozen=True, kw_only=True)
class RewardRow:
    """One reward of a run."""

    name: str
    first: float | None
    """Mean at the first training step."""
    last: float | None
    failed: float | None
    """Share of answers without it, mean over steps."""
    held_out_first: float | None
    held_out_last: float | None


@dataclass(frozen=True, kw_only=True)
class ReasonRow:
    """A reason for which rewards failed."""

    reward: str
    code: str
    count: int
    example: str
    """Detail of the first."""
    step: int
    row: int
    """Where the first is stored."""


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """One unit of cost."""

    unit: str
    total: float
    per_step: float


@dataclass(frozen=True, kw_only=True)
class FamilyRow:
    """Held-out success of one family of tasks, before and after."""

    name: str
    tasks: int | None
    first: float
    last: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Success on one held-out task at one evaluation."""

    task: str
    family: str
    root: int
    success: float


def rewards(run: Run) -> tuple[RewardRow, ...]:
    """Rewards by name: mean at the first and last step, failures, and means on held-out tasks."""
    names = dict.fromkeys(
        name.split("/", 1)[1].rsplit("_", 1)[0]
        for record in run.metrics
        for name in record
        if name.startswith("reward/") and name.endswith(("_mean", "_failed"))
    )
    return tuple(
        RewardRow(
            name=name,
            first=_known(run.metrics, f"reward/{name}_mean", last=False),
            last=_known(run.metrics, f"reward/{name}_mean", last=True),
            failed=_mean(run.metrics, f"reward/{name}_failed"),
            held_out_first=_nested(run.evaluations[:1], name),
            held_out_last=_nested(run.evaluations[-1:], name),
        )
        for name in sorted(names, key=lambda name: (name == "total", name))
    )


def _nested(evaluations: Sequence[Mapping[str, Any]], name: str) -> float | None:
    for record in evaluations:
        found = record.get("rewards", {})
        value = cast("Mapping[str, Any]", found).get(name) if isinstance(found, dict) else None
        if isinstance(value, int | float):
            return float(value)
    return None


def _known(records: Sequence[Mapping[str, Any]], name: str, *, last: bool) -> float | None:
    for record in reversed(records) if last else records:
        value = record.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def _mean(records: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [float(v) for record in records if isinstance(v := record.get(name), int | float) and math.isfinite(v)]
    return math.fsum(values) / len(values) if values else None


def reasons(forests: Sequence[tuple[int, Steps]]) -> tuple[ReasonRow, ...]:
    """Why rewards failed, by reward and code.

    Args:
        forests: training step and forest, in order.

    Returns:
        One row per reward and code, the commonest first; the total is left out, because it repeats its parts.
    """
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[str, int, int]] = {}
    for step, steps in forests:
        for name, values in steps.texts.items():
            reward = name.removeprefix("reason.")
            if not name.startswith("reason.") or (reward == "total" and len(steps.rewards) > 1):
                continue
            for row, reason in enumerate(values):
                if reason is not None:
                    code, _, detail = reason.partition(": ")
                    counts[reward, code] += 1
                    first.setdefault((reward, code), (detail, step, row))
    rows = [
        ReasonRow(reward=key[0], code=key[1], count=count, example=first[key][0], step=first[key][1], row=first[key][2])
        for key, count in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.reward, row.code)))


def costs(run: Run) -> tuple[CostRow, ...]:
    """What training spent, by unit; the metrics hold running sums."""
    if not run.metrics:
        return ()
    steps = len(run.metrics)
    names = [name for name in run.metrics[-1] if name.startswith("cost/")]
    found = [(name, _known(run.metrics, name, last=True)) for name in sorted(names)]
    return tuple(
        CostRow(unit=name.removeprefix("cost/").replace("_", " "), total=total, per_step=total / steps)
        for name, total in found
        if total is not None
    )


def seconds(run: Run) -> tuple[CostRow, ...]:
    """Seconds by stage, the longest first."""
    sums: dict[str, float] = {}
    for record in run.timings:
        for stage, value in record.items():
            if stage != "step":
                sums[stage] = sums.get(stage, 0.0) + float(value)
    steps = max(len(run.timings), 1)
    rows = [CostRow(unit=stage, total=total, per_step=total / steps) for stage, total in sums.items()]
    return tuple(sorted(rows, key=lambda row: (-row.total, row.unit)))


def outcomes(steps: Steps) -> tuple[Outcome, ...]:
    """Success on each held-out task: the share of its answers that solve it.

    Args:
        steps: a stored evaluation with `reward.solved`.

    Returns:
        One entry per task whose answers could be judged.
    """
    found: list[Outcome] = []
    for root in steps.roots:
        known = spread([steps.number("reward.solved", leaf) for leaf in steps.leaves_below(root)])
        if known.count:
            task = steps.text("task", root) or f"task {root}"
            family = steps.text("label.family", root) or task.partition(":")[0]
            found.append(Outcome(task=task, family=family, root=root, success=known.mean))
    return tuple(found)


def families(run: Run, first: Sequence[Outcome]) -> tuple[FamilyRow, ...]:
    """Held-out success by family at the first and the last evaluation.

    Args:
        run: the run.
        first: outcomes of the first evaluation, for the number of tasks; may be empty.

    Returns:
        One row per family, by name.
    """
    if not run.evaluations:
        return ()
    before, after = (_families(record) for record in (run.evaluations[0], run.evaluations[-1]))
    sizes = Counter(one.family for one in first)
    return tuple(
        FamilyRow(name=name, tasks=sizes.get(name), first=before.get(name, math.nan), last=after.get(name, math.nan))
        for name in sorted({*before, *after})
    )


def _families(record: Mapping[str, Any]) -> Mapping[str, float]:
    found = record.get("by_family", {})
    items = cast("Mapping[str, Any]", found).items() if isinstance(found, dict) else ()
    return {name: float(value) for name, value in items if isinstance(value, int | float)}


def flatten(record: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Write nested settings as dotted names.

    Args:
        record: settings, possibly nested.
        prefix: name of what holds them, with a dot behind it.

    Returns:
        Name and value as text, in the order of the record.
    """
    rows: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, dict) and value:
            rows += flatten(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((prefix + name, ", ".join(str(item) for item in cast("Sequence[Any]", value)) or "none"))
        elif isinstance(value, bool):
            rows.append((prefix + name, "yes" if value else "no"))
        else:
            rows.append((prefix + name, "none" if value in ({}, None, "") else str(value)))
    return tuple(rows)


def composition(steps: Steps) -> str:
    """Say how the total reward is made of the others, if a weighted sum reproduces every stored total.

        total_i = sum_k w_k reward_ik,   w by least squares over the answers that have every reward

    Args:
        steps: a stored forest.

    Returns:
        Such as "total = 1 × outcome + 0.2 × format"; empty if no sum fits to 1e-4 or the weights are not determined.
    """
    parts = [name for name in steps.rewards if name not in ("total", "solved")]
    rows = [
        [steps.number(f"reward.{name}", row) for name in (*parts, "total")]
        for row in range(len(steps))
        if not steps.children[row]
    ]
    full = np.array([row for row in rows if None not in row], dtype=np.float64)
    if "total" not in steps.rewards or not parts or len(full) < len(parts):
        return ""
    weights, _, rank, _ = np.linalg.lstsq(full[:, :-1], full[:, -1], rcond=None)
    if rank < len(parts) or float(np.abs(full[:, :-1] @ weights - full[:, -1]).max()) > 1e-4:
        return ""
    terms = (f"{figures.plain(round(float(w), 4))} × {name}" for w, name in zip(weights, parts, strict=True))
    return "total = " + " + ".join(terms)
