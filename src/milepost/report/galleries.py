"""The HTML report of a search for images: who drew what at how many model calls, and the tree they were drawn from."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from milepost.engines.searching import Outcome
from milepost.report import markup
from milepost.report.drawing import latents, pictures
from milepost.report.drawing.chart import Chart, Series
from milepost.report.page import figures_of
from milepost.report.stored import steps
from milepost.report.stored.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a seeker came to, the mean over tasks and repeats."""

    seeker: str
    calls: float
    images: float
    effective: float
    """Images that the draws are worth."""
    best: float
    """Highest reward of an image that was grown."""
    drawn: tuple[float, ...]
    """Mean of each reward over the draws, in the order of `names_of`."""
    plain: tuple[float, ...]
    """The same over all images alike."""


def names_of(found: Sequence[Outcome]) -> tuple[str, ...]:
    """Names of the rewards, in the order in which they were scored."""
    return tuple(found[0].scene["rewards"]) if found else ()


def rows(found: Sequence[Outcome]) -> tuple[Row, ...]:
    """The table of a search.

    Args:
        found: its outcomes.

    Returns:
        One row per seeker.
    """
    table: list[Row] = []
    for seeker in dict.fromkeys(one.seeker for one in found):
        own = [one for one in found if one.seeker == seeker]
        scenes = [one.scene for one in own]
        mean = {
            name: statistics.fmean(float(scene[name]) for scene in scenes) for name in ("calls", "leaves", "effective")
        }
        drawn, plain = (
            tuple(statistics.fmean(float(scene[kind][name]) for scene in scenes) for name in names_of(found))
            for kind in ("rewards", "plain")
        )
        best = statistics.fmean(-one.cost for one in own if one.cost is not None)
        table.append(
            Row(
                seeker=seeker, calls=mean["calls"], images=mean["leaves"], effective=mean["effective"], best=best,
                drawn=drawn, plain=plain,
            )
        )  # fmt: skip
    return tuple(table)


def render(folder: Path, found: Sequence[Outcome]) -> str:
    """Make the report; the same search gives the same text.

    Args:
        folder: the folder of the search.
        found: its outcomes.

    Returns:
        The page.

    Raises:
        FormatError: a stored tree is damaged.
        MissingExtra: jinja2 is not installed.
    """
    tasks = tuple(dict.fromkeys(one.task for one in found))
    seekers = tuple(dict.fromkeys(one.seeker for one in found))
    content = {
        "style": markup.style(),
        "filters": "",
        "title": folder.name,
        "repeats": 1 + max(one.repeat for one in found),
        "seekers": seekers,
        "names": names_of(found),
        "rows": rows(found),
        "tasks": [_task(folder, found, task) for task in tasks],
        "charts": figures_of([_chart(found, task, seekers) for task in tasks]),
    }
    return markup.environment().get_template("galleries.html.jinja").render(content)


def _task(folder: Path, found: Sequence[Outcome], task: str) -> dict[str, object]:
    """Draws of the first repeat of every seeker, and the tree of the first seeker."""
    drawn: list[dict[str, object]] = []
    tree: Markup | None = None
    prompt = task
    for place, one in enumerate(found):
        if one.task != task or one.repeat:
            continue
        stored = steps.read(folder / "forests" / f"{task}.{place}")
        drawn.append({"seeker": one.seeker, "pictures": _pictures(stored, one), "scene": one.scene})
        prompt = str(one.scene["prompt"])
        if tree is None:
            tree = latents.tree(stored, stored.roots[0], 0.0)
    return {"name": task, "prompt": prompt, "drawn": drawn, "tree": tree, "by": found[0].seeker}


def _pictures(stored: Steps, one: Outcome) -> list[Markup]:
    latent = stored.numbers.get("latent")
    shown: list[Markup] = []
    if latent is None:
        return shown
    for row in one.scene["drawn"]:
        reward = stored.number(f"reward.{stored.main_reward}", row)
        drawing = pictures.picture(latent[row], f"drawn image #{row}, reward {reward}")
        shown += [] if drawing is None else [drawing]
    return shown


def _chart(found: Sequence[Outcome], task: str, seekers: Sequence[str]) -> Chart:
    lines: list[Series] = []
    for number, seeker in enumerate(seekers):
        runs = [dict(one.progress) for one in found if one.task == task and one.seeker == seeker]
        works = sorted({work for run in runs for work in run})
        lines.append(Series(name=seeker, x=works, y=[_mean_at(runs, work) for work in works], number=number))
    note = "Highest reward of an image until then, mean of the repeats. It says nothing of the draws."
    return Chart(title=f"{task}: best reward over model calls", lines=tuple(lines), note=note)


def _mean_at(runs: Sequence[dict[int, float]], work: int) -> float | None:
    known = [[-cost for at, cost in run.items() if at <= work] for run in runs]
    return statistics.fmean(max(rewards) for rewards in known) if all(known) else None
