"""The HTML report of a search: what was found by whom, maps with trees, and the best cost over the work done."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from milepost import storage
from milepost.engines import searching
from milepost.engines.searching import Outcome
from milepost.report import galleries, markup
from milepost.report.drawing import maps
from milepost.report.drawing.chart import Chart, Series
from milepost.report.page import figures_of, save


@dataclass(frozen=True, kw_only=True)
class Row:
    """One task of the table."""

    task: str
    least: float
    """No path is shorter."""
    costs: tuple[float | None, ...]
    """Median of each seeker; None where one of its searches found nothing."""
    better: int
    """In how many repeats the first was better than the second."""
    repeats: int


def rows(found: Sequence[Outcome]) -> tuple[Row, ...]:
    """The table of a search.

    Args:
        found: its outcomes.

    Returns:
        One row per task.
    """
    seekers = list(dict.fromkeys(one.seeker for one in found))
    table: list[Row] = []
    for task in dict.fromkeys(one.task for one in found):
        own = {seeker: [o.cost for o in found if o.task == task and o.seeker == seeker] for seeker in seekers}
        pairs = list(zip(own[seekers[0]], own[seekers[-1]], strict=True))
        better = sum(a is not None and (b is None or a < b - 1e-9) for a, b in pairs)
        least = next(float(one.scene["least"]) for one in found if one.task == task)
        costs = tuple(median(own[seeker]) for seeker in seekers)
        table.append(Row(task=task, least=least, costs=costs, better=better, repeats=len(pairs)))
    return tuple(table)


def median(costs: Sequence[float | None]) -> float | None:
    """Median of costs; None where one search found nothing."""
    known = [cost for cost in costs if cost is not None]
    return statistics.median(known) if known and len(known) == len(costs) else None


def write(folder: Path, out: Path) -> Path:
    """Write the report of a search.

    Args:
        folder: the folder of the search.
        out: the file to write.

    Returns:
        The file.

    Raises:
        FormatError: the folder holds no finished search.
        MissingExtra: jinja2 is not installed.
    """
    return save(render(folder), out)


def render(folder: Path) -> str:
    """Make the report of a search; the same search gives the same text.

    Args:
        folder: the folder of the search.

    Returns:
        The page.

    Raises:
        FormatError: the folder holds no finished search.
        MissingExtra: jinja2 is not installed.
    """
    environment = markup.environment()
    found = searching.read(folder)
    if found and "drawn" in found[0].scene:
        return galleries.render(folder, found)
    seekers = tuple(dict.fromkeys(one.seeker for one in found))
    content = {
        "style": markup.style(),
        "filters": "",
        "title": folder.name,
        "seekers": seekers,
        "rows": rows(found),
        "maps": [
            {
                "title": f"{one.task}: {one.seeker}",
                "cost": one.cost,
                "steps": one.steps,
                "drawing": _map(folder, place, one),
            }
            for place, one in enumerate(found)
            if one.repeat == 0 and one.seeker == seekers[0]
        ],
        "charts": figures_of(_charts(found, seekers)),
    }
    return environment.get_template("searches.html.jinja").render(content)


def _map(folder: Path, place: int, one: Outcome) -> Markup:
    if one.scene["links"]:
        return maps.arm(one.scene)
    forest = storage.read(folder / "forests" / f"{one.task}.{place}")
    states: list[list[float]] = forest["observation"].tolist()
    return maps.plane(one.scene, one.cost, states, forest.parent.tolist())


def _charts(found: Sequence[Outcome], seekers: Sequence[str]) -> list[Chart]:
    charts: list[Chart] = []
    for task in dict.fromkeys(one.task for one in found):
        lines: list[Series] = []
        for number, seeker in enumerate(seekers):
            runs = [dict(one.progress) for one in found if one.task == task and one.seeker == seeker]
            works = sorted({work for run in runs for work in run})
            lines.append(Series(name=seeker, x=works, y=[_median_at(runs, work) for work in works], number=number))
        charts.append(Chart(title=f"{task}: best cost over draws", lines=tuple(lines), note="Median of the repeats."))
    return charts


def _median_at(runs: Sequence[Mapping[int, float]], work: int) -> float | None:
    """Median of the best costs once that much work was done; a run that had stopped keeps its last."""
    known = [[cost for at, cost in run.items() if at <= work] for run in runs]
    return statistics.median(min(costs) for costs in known) if all(known) else None
