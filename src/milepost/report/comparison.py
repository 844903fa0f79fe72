"""The HTML report of a comparison: two sets of runs side by side, with spread, intervals and one plain sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from markupsafe import Markup

from milepost.errors import FormatError
from milepost.report import markup
from milepost.report.drawing import curves, shapes
from milepost.report.drawing.chart import Chart, Series
from milepost.report.page import figures_of, save
from milepost.report.stored import run
from milepost.report.stored.run import Run

_TRAINING = (
    "reward/total_mean",
    "credit/dead_groups",
    "objective/kl",
    "objective/clip_fraction",
    "update/gradient_norm",
)
_SHARES = ("credit/dead_groups", "objective/clip_fraction", "reward/total_failed")


def write(result: Mapping[str, Any], first: Sequence[Path], second: Sequence[Path], out: Path) -> Path:
    """Write the report of a comparison.

    Args:
        result: as `dataclasses.asdict` of `evaluation.compare.Comparison`, with "sentence" beside it: "names",
            "paired", "runs", "differences" (each "metric", "first", "second", "sign", "pairs" and "difference" with
            "estimate", "low", "high"), "costs" (each "unit", "first", "second"), "unit", "verdict".
        first: run folders of the first method.
        second: run folders of the second.
        out: the file to write; its folder is made if needed.

    Returns:
        The file.

    Raises:
        FormatError: `result` lacks one of these entries, or a file of a run is damaged.
        UnknownName: a folder holds no run.
        MissingExtra: jinja2 is not installed.
    """
    return save(render(result, first, second), out)


def render(result: Mapping[str, Any], first: Sequence[Path], second: Sequence[Path]) -> str:
    """Make the report of a comparison; the same runs give the same text.

    Args:
        result: as for `write`.
        first: run folders of the first method.
        second: run folders of the second.

    Returns:
        The page.

    Raises:
        FormatError: as for `write`.
        UnknownName: a folder holds no run.
        MissingExtra: jinja2 is not installed.
    """
    environment = markup.environment()
    sides = tuple(tuple(run.read(folder) for folder in folders) for folders in (first, second))
    try:
        names = tuple(str(name) for name in result["names"])
        content = {
            "names": names,
            "sentence": str(result.get("sentence", result["verdict"])),
            "verdict": str(result["verdict"]),
            "differences": [_difference(one) for one in result["differences"]],
            "pairs": _pairs(result["differences"][0]["pairs"]) if result["differences"] else (),
            "costs": [_cost(one) for one in result["costs"]],
            "unit": str(result["unit"]).replace("_", " "),
            "counts": tuple(int(count) for count in result["runs"]),
            "paired": bool(result["paired"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"The record of the comparison is not complete: {error!r}. Expected asdict of a Comparison."
        ) from error
    content |= {
        "style": markup.style(),
        "filters": "",
        "charts": figures_of(_charts(sides, cast("tuple[str, str]", names))),
        "runs": [_row(one, name) for side, name in zip(sides, names, strict=True) for one in side],
    }
    return environment.get_template("comparison.html.jinja").render(content)


def _difference(one: Mapping[str, Any]) -> dict[str, Any]:
    found = cast("Mapping[str, float | None]", one["difference"])
    estimate = found["estimate"]
    drawing = (
        Markup("") if estimate is None else shapes.interval(estimate, found["low"], found["high"], str(one["metric"]))
    )
    return {
        "metric": str(one["metric"]),
        "first": one["first"],
        "second": one["second"],
        "estimate": estimate,
        "low": found["low"],
        "high": found["high"],
        "sign": one["sign"],
        "drawing": drawing,
    }


def _pairs(differences: Sequence[float]) -> list[dict[str, Any]]:
    """Difference of each pair; a bar to the right where the first is better, to the left where the second is."""
    widest = max((abs(value) for value in differences), default=0.0) or 1.0
    return [
        {
            "number": number,
            "value": value,
            "left": f"{50 - 50 * max(0.0, -value) / widest:.1f}",
            "width": f"{50 * abs(value) / widest:.1f}",
            "better": value > 0,
        }
        for number, value in enumerate(differences, 1)
    ]


def _cost(one: Mapping[str, Any]) -> dict[str, Any]:
    first, second = float(one["first"]), float(one["second"])
    unit = str(one["unit"]).replace("_", " ")
    return {"unit": unit, "first": first, "second": second, "ratio": first / second if second else math.nan}


def _row(one: Run, name: str) -> dict[str, Any]:
    last = one.evaluations[-1] if one.evaluations else {}
    spent = {key.removeprefix("cost/"): value for key, value in (one.metrics[-1] if one.metrics else {}).items()}
    return {
        "side": name,
        "name": one.name,
        "seed": one.manifest.get("seed"),
        "steps": len(one.metrics),
        "tokens": spent.get("tokens"),
        "success": last.get("success"),
        "low": last.get("low"),
        "high": last.get("high"),
    }


def _charts(sides: Sequence[Sequence[Run]], names: tuple[str, str]) -> list[Chart]:
    note = "lines: mean over runs; bands: smallest to largest"
    success = [
        _mean_line([_evaluations(one) for one in side], name, number)
        for number, (side, name) in enumerate(zip(sides, names, strict=True))
    ]
    charts = [
        Chart(title="Success on held-out tasks", lines=tuple(success), note=note, unit="share", floor=0, ceiling=1)
    ]
    for metric in _TRAINING:
        lines = [
            _mean_line([_values(one, metric) for one in side], name, number)
            for number, (side, name) in enumerate(zip(sides, names, strict=True))
        ]
        unit = "share" if metric in _SHARES else "number"
        charts.append(Chart(title=curves.title(metric), lines=tuple(lines), note=note, unit=unit))
    lines = [
        _mean_line([_values(one, "cost/tokens") for one in side], name, number)
        for number, (side, name) in enumerate(zip(sides, names, strict=True))
    ]
    return [*charts, Chart(title="Tokens spent so far", lines=tuple(lines), note=note, unit="count", floor=0)]


def _evaluations(one: Run) -> dict[float, float]:
    return {
        float(record["step"]): float(record["success"])
        for record in one.evaluations
        if isinstance(record.get("success"), int | float) and math.isfinite(record["success"])
    }


def _values(one: Run, metric: str) -> dict[float, float]:
    return {
        float(record["step"]): float(value)
        for record in one.metrics
        if isinstance(value := record.get(metric), int | float) and math.isfinite(value)
    }


def _mean_line(runs: Sequence[Mapping[float, float]], name: str, number: int) -> Series:
    """Mean over the runs that have a value at a step, with a band from the smallest to the largest."""
    steps = sorted({step for one in runs for step in one})
    places = steps if len(steps) <= curves.MOST_POINTS else steps[:: math.ceil(len(steps) / curves.MOST_POINTS)]
    known = [[one[step] for one in runs if step in one] for step in places]
    return Series(
        name=name,
        x=places,
        y=[math.fsum(values) / len(values) for values in known],
        low=[min(values) for values in known],
        high=[max(values) for values in known],
        number=number,
    )
