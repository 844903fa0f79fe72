"""The HTML report of an experiment: a table of arms with intervals, charts, and what was shown of the first repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milepost import recipe
from milepost.engines.experiments import run
from milepost.engines.experiments.run import Row
from milepost.errors import FormatError, UnknownName
from milepost.evaluation.intervals import Interval, mean_interval
from milepost.report import markup
from milepost.report.drawing.chart import Chart, Series
from milepost.report.drawing.pictures import photograph
from milepost.report.page import figures_of, save


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One quantity of one arm, over the repeats."""

    mean: Interval
    count: int
    """Repeats in which it was known."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One task."""

    task: str
    repeats: int
    quantities: tuple[str, ...]
    arms: Mapping[str, tuple[Cell, ...]]
    against: Mapping[str, tuple[Cell, ...]]
    """Of every arm but the first: its numbers less those of the first, paired by repeat."""


def tables(found: Sequence[Row]) -> tuple[Table, ...]:
    """Means over repeats with intervals, and paired differences to the first arm.

    Args:
        found: the measurements.

    Returns:
        One table per task, in the order in which the tasks came.
    """
    return tuple(
        _table(task, [one for one in found if one.task == task]) for task in dict.fromkeys(o.task for o in found)
    )


def _table(task: str, found: Sequence[Row]) -> Table:
    arms = list(dict.fromkeys(arm for one in found for arm in one.numbers))
    names = tuple(dict.fromkeys(name for one in found for own in one.numbers.values() for name in own))

    def values(arm: str, name: str) -> list[float | None]:
        return [one.numbers.get(arm, {}).get(name) for one in found]

    def less(arm: str, name: str) -> list[float | None]:
        pairs = zip(values(arm, name), values(arms[0], name), strict=True)
        return [None if own is None or first is None else own - first for own, first in pairs]

    return Table(
        task=task,
        repeats=len(found),
        quantities=names,
        arms={arm: tuple(_cell(values(arm, name)) for name in names) for arm in arms},
        against={arm: tuple(_cell(less(arm, name)) for name in names) for arm in arms[1:]},
    )


def _cell(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None]
    return Cell(mean=mean_interval(known), count=len(known))


def write(folder: Path, out: Path) -> Path:
    """Write the report of an experiment.

    Args:
        folder: the folder of the experiment.
        out: the file to write.

    Returns:
        The file.

    Raises:
        FormatError: the folder holds no finished experiment.
        MissingExtra: jinja2 is not installed.
    """
    return save(render(folder), out)


def render(folder: Path) -> str:
    """Make the report of an experiment; the same experiment gives the same text.

    Args:
        folder: the folder of the experiment.

    Returns:
        The page.

    Raises:
        FormatError: the folder holds no finished experiment.
        MissingExtra: jinja2 is not installed.
    """
    environment = markup.environment()
    found = run.read(folder)
    if not found:
        raise FormatError(f"{folder} holds an experiment without measurements.")
    first = [one for one in found if one.repeat == 0]
    content = {
        "style": markup.style(),
        "filters": "",
        "title": folder.name,
        "lead": _lead(folder),
        "tables": tables(found),
        "charts": figures_of([_chart(one.task, given) for one in first for given in one.scene.get("charts", ())]),
        "texts": [{"task": one.task, **text} for one in first for text in one.scene.get("texts", ())],
        "films": [_film(one.task, given) for one in first for given in one.scene.get("films", ())],
        "notes": [f"{one.task}: {note}" for one in first for note in one.scene.get("notes", ())],
    }
    return environment.get_template("experiments.html.jinja").render(content)


def _film(task: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A frame strip: a title, and frames of a picture and words."""
    title = f"{task}: {given['title']}"
    frames = [{"picture": photograph(str(one["png"]), title), "told": one["told"]} for one in given["frames"]]
    return {"title": title, "frames": frames}


def _lead(folder: Path) -> str:
    """What the recipe does; nothing where it is not known here."""
    import tomllib

    try:
        name = str(tomllib.loads((folder / "run.toml").read_text(encoding="utf-8")).get("recipe", ""))
        return recipe.card(name).summary
    except (OSError, ValueError, UnknownName):
        return ""


def _chart(task: str, given: Mapping[str, Any]) -> Chart:
    lines = [
        Series(name=str(line["name"]), x=line["x"], y=line["y"], number=number)
        for number, line in enumerate(given["lines"])
    ]
    return Chart(title=f"{task}: {given['title']}", lines=tuple(lines), note=str(given.get("note", "")))
