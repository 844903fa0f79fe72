"""The HTML report of a run: one file without script that opens from disk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from milepost.report import figures, filming, markup, samples
from milepost.report.drawing import curves, episodes, latents, shades, shapes
from milepost.report.drawing.chart import Chart, draw
from milepost.report.stored import groups, run, steps, tables
from milepost.report.verdict import bounds, change, facts, verdict

LIMIT_BYTES = 5_000_000
"""Largest page; sample trees that do not fit are left out, and the page says which."""
MOST_GROUPS = 64
"""Groups of a step drawn at a glance."""
_PAIRS = 3

SECTIONS = (
    ("verdict", "Verdict"),
    ("curves", "Learning curves"),
    ("batches", "Answers by credit"),
    ("samples", "Sample trees"),
    ("held-out", "Held-out tasks"),
    ("rewards", "Rewards and failures"),
    ("training", "Choice and update"),
    ("cost", "Cost"),
    ("card", "Run card"),
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart as the page shows it."""

    chart: Chart
    drawing: Markup
    now: str
    keys: tuple[tuple[int, str], ...]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A stored forest, opened."""

    step: int
    folder: Path
    steps: steps.Steps
    found: tuple[groups.Group, ...]


def write(folder: Path, out: Path, *, limit_bytes: int = LIMIT_BYTES) -> Path:
    """Write the report of a run.

    Args:
        folder: the run's folder.
        out: the file to write; its folder is made if needed.
        limit_bytes: largest page; sample trees are left out, with a statement, where they do not fit.

    Returns:
        The file.

    Raises:
        UnknownName: the folder holds no run.
        FormatError: a file of the run is damaged.
        MissingExtra: jinja2 is not installed.
    """
    return save(render(folder, limit_bytes=limit_bytes), out)


def save(text: str, out: Path) -> Path:
    """Write a page so that a reader sees the old or the new one, never a part.

    Args:
        text: the page.
        out: the file; its folder is made if needed.

    Returns:
        The file.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(out.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(out)
    return out


def render(folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Make the report of a run; the same run gives the same text.

    Args:
        folder: the run's folder.
        limit_bytes: largest page.

    Returns:
        The page.

    Raises:
        UnknownName: the folder holds no run.
        FormatError: a file of the run is damaged.
        MissingExtra: jinja2 is not installed.
    """
    environment = markup.environment()
    found = run.read(folder)
    parts: Any = environment.get_template("parts.html.jinja").make_module({"strip": shapes.strip})
    shown = _kept(found)
    scale = shades.scale_of(
        kept.steps.number("advantage", row)
        for kept in shown
        for row in range(len(kept.steps))  # of steps, not ends only
    )
    studio = filming.Studio.of(found.settings)
    context = {**_head(found), **_numbers(found), **_held_out(found, parts, studio), "strip": shapes.strip}
    context |= {"credit_scale": scale, "batches": (), "samples": (), "left_out": "", "kinds": (), "filters": ""}
    context |= {"no_pictures": ""}
    page = environment.get_template("page.html.jinja")
    bare = len(page.render(context).encode())
    chosen = [(kept, choice) for kept in shown for choice in samples.choose(kept.found)]
    cards = _cards(found, chosen, scale, parts, studio)
    fitting = _fit(cards, limit_bytes - bare - 200_000)
    anchors = {anchor for anchor, _ in fitting}
    kinds = [
        kind
        for kind in _KINDS
        if any(kind in choice.why for kept, choice in chosen if _anchor(kept, choice) in anchors)
    ]
    context |= {
        "batches": _batches(shown, scale, anchors),
        "samples": [card for _, card in fitting],
        "left_out": _left_out(chosen, anchors, limit_bytes),
        "kinds": kinds,
        "filters": _filters(kinds),
        "no_pictures": studio.note,
        "shaded": any("tokens.log_prob" in kept.steps.tokens for kept in shown),
    }
    return page.render(context)


_KINDS = ("contested", "best", "worst", "dead", "failed")


def _filters(kinds: Iterable[str]) -> Markup:
    rules = (f"body:has(#show-{kind}:checked) #samples .sample:not(.is-{kind}){{display:none}}" for kind in kinds)
    return Markup("").join(Markup(rule) for rule in rules)  # noqa: S704 - names of this module


def _head(found: run.Run) -> dict[str, Any]:
    first, last = _evaluations(found)
    card = found.card
    known = f"Recipe {found.recipe}" if found.recipe else "A run whose recipe is not known"
    source = f"{card.title} ({card.paper}, {card.year})" if card else known
    tasks = found.settings.get("tasks", {})
    trained = ", ".join(str(item) for item in tasks.get("names", ())) if isinstance(tasks, dict) else ""
    return {
        "style": markup.style(),
        "title": found.name,
        "subtitle": source + (f" on {trained}" if trained else ""),
        "sections": SECTIONS,
        "verdict": verdict(found, change(first, last)),
        "facts": facts(found),
        "card": card,
        "settings": tables.flatten(found.settings or found.manifest.get("settings", {})),
        "versions": (
            *tables.flatten(found.manifest.get("versions", {})),
            *tables.flatten(found.manifest.get("fingerprints", {}), "fingerprint of "),
        ),
    }


def _evaluations(found: run.Run) -> tuple[tuple[tables.Outcome, ...], tuple[tables.Outcome, ...]]:
    if len(found.held_out) < 2:
        return (), ()
    first, last = (tables.outcomes(steps.read(found.held_out[place].folder)) for place in (0, -1))
    return first, last


def _numbers(found: run.Run) -> dict[str, Any]:
    kept = curves.evenly(found.forests, curves.MOST_FORESTS)
    opened = [(one.step, steps.read(one.folder)) for one in kept]
    spread = curves.bands(opened)
    in_all = sum(row.total for row in tables.seconds(found)) or 1.0
    seconds = [{**vars(row), "share": f"{100 * row.total / in_all:.1f}"} for row in tables.seconds(found)]
    told = (curves.held_out(found), *curves.measures(found))
    first = (*told, *curves.rewards(found, spread), *curves.groups_and_failures(found))
    why = tables.reasons(opened)
    of = f"Counted in {len(kept)} of the {len(found.metrics)} steps: the others' forests were not kept or not read."
    return {
        "curves": figures_of(first),
        "training": figures_of(curves.training(found)),
        "cost_charts": figures_of(curves.costs(found)),
        "rewards": tables.rewards(found),
        "composition": tables.composition(opened[-1][1]) if opened else "",
        "reasons": why,
        "no_reasons": "No reward failed." if opened else "No forest was kept, so reasons are not known.",
        "reasons_note": of if why and len(kept) < len(found.metrics) else "",
        "costs": tables.costs(found),
        "seconds": seconds,
    }


def figures_of(charts: Iterable[Chart]) -> tuple[Figure, ...]:
    """Draw the charts that have anything to show.

    Args:
        charts: charts, possibly empty.

    Returns:
        One figure per chart with a known value, with its last value in words if it has one line.
    """
    found: list[Figure] = []
    for chart in charts:
        if not chart.known:
            continue
        lines = [line for line in chart.lines if any(value is not None for value in line.y)]
        last = next((value for value in reversed(lines[0].y) if value is not None and math.isfinite(value)), None)
        found.append(
            Figure(
                chart=chart,
                drawing=draw(chart),
                now=chart.writer(last) if len(lines) == 1 else "",
                keys=tuple((line.colour, line.name) for line in lines),
            )
        )
    return tuple(found)


def _kept(found: run.Run) -> tuple[Kept, ...]:
    """The first and the last kept forest, opened."""
    ends = dict.fromkeys((found.forests[0], found.forests[-1])) if found.forests else {}
    opened = [(one, steps.read(one.folder)) for one in ends]
    return tuple(
        Kept(step=one.step, folder=one.folder, steps=own, found=groups.groups(own, own.main_reward))
        for one, own in opened
    )


def _batches(shown: Sequence[Kept], scale: float, anchors: set[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kept in shown:
        dead = sum(one.dead for one in kept.found)
        cells = [
            (
                anchor if (anchor := f"s{kept.step}r{one.root}") in anchors else "",
                shapes.group_cells(kept.steps, one, scale),
            )
            for one in kept.found[:MOST_GROUPS]
        ]
        told = f"{len(kept.found)} groups, {dead} dead"
        found.append({"step": kept.step, "told": told, "groups": cells, "hidden": len(kept.found) - len(cells)})
    return found


def _anchor(kept: Kept, choice: samples.Choice | groups.Group) -> str:
    return f"s{kept.step}r{choice.root}"


def _per_character(found: run.Run) -> bool:
    """Whether the policy is the embedded one, which writes one character per token."""
    policy = found.settings.get("policy", {})
    return isinstance(policy, dict) and policy.get("model", "embedded") == "embedded"


def _cards(
    found: run.Run,
    chosen: Sequence[tuple[Kept, samples.Choice]],
    scale: float,
    parts: Any,
    studio: filming.Studio,
) -> list[tuple[str, Markup]]:
    cards: list[tuple[str, Markup]] = []
    for kept, choice in sorted(chosen, key=lambda pair: -pair[0].step):  # the last step first: what the policy does now
        one = samples.sample(kept.steps, choice, step=kept.step, scale=scale, per_character=_per_character(found))
        tree = latents.tree(kept.steps, choice.root, scale) or shapes.tree(kept.steps, choice.root, scale)
        anchor = _anchor(kept, choice)
        charts = figures_of(episodes.along(kept.steps, choice.root))
        film = studio.strip(kept.folder, kept.steps, choice.root)
        item = {"sample": one, "anchor": anchor, "tree": tree, "along": charts, "film": film}
        cards.append((anchor, Markup(parts.sample(item))))  # noqa: S704
    return cards


def _fit(cards: Sequence[tuple[str, Markup]], room: int) -> list[tuple[str, Markup]]:
    kept: list[tuple[str, Markup]] = []
    for anchor, card in cards:
        size = len(card.encode())
        if size <= room:
            kept.append((anchor, card))
            room -= size
    return kept


def _left_out(chosen: Sequence[tuple[Kept, samples.Choice]], anchors: set[str], limit: int) -> str:
    names = [f"step {kept.step} #{choice.root}" for kept, choice in chosen if _anchor(kept, choice) not in anchors]
    if not names:
        return ""
    return (
        f"Left out, to keep the page under {figures.plain(limit / 1e6)} MB: {', '.join(names)}. "
        "See them with `milepost show <run>/forests/step-<number>#<row>`."
    )


def _held_out(found: run.Run, parts: Any, studio: filming.Studio) -> dict[str, Any]:
    first, last = _evaluations(found)
    rows = [
        {
            **vars(row),
            "change": row.last - row.first,
            "drawing": shapes.before_after(
                row.first, row.last, (*bounds(first, row.name), *bounds(last, row.name)), row.name
            ),
        }
        for row in tables.families(found, first)
    ]
    return {"families": rows, "pairs": _pairs(found, first, last, parts, studio) if first and last else ()}


def _pairs(
    found: run.Run,
    first: Sequence[tables.Outcome],
    last: Sequence[tables.Outcome],
    parts: Any,
    studio: filming.Studio,
) -> list[Markup]:
    """Held-out tasks before and after: the one that gained most, the one that lost most, one that stayed unsolved."""
    before, after = steps.read(found.held_out[0].folder), steps.read(found.held_out[-1].folder)
    early = {one.task: one for one in first}
    both = [(early[one.task], one) for one in last if one.task in early]
    picked: dict[str, tuple[str, tables.Outcome, tables.Outcome]] = {}
    for title, order, wanted in (
        ("Gained most", lambda a, b: b - a, lambda a, b: b > a),
        ("Lost most", lambda a, b: a - b, lambda a, b: b < a),
        ("Still unsolved", lambda a, _: -a, lambda _, b: b == 0),
    ):
        fitting = [(a, b) for a, b in both if wanted(a.success, b.success) and a.task not in picked]
        if fitting:
            a, b = max(fitting, key=lambda pair: order(pair[0].success, pair[1].success))
            picked[a.task] = (title, a, b)
    shown = list(picked.values())[:_PAIRS]
    return [_pair(found, title, (before, a), (after, b), parts, studio) for title, a, b in shown]


def _pair(
    found: run.Run,
    title: str,
    was: tuple[steps.Steps, tables.Outcome],
    now: tuple[steps.Steps, tables.Outcome],
    parts: Any,
    studio: filming.Studio,
) -> Markup:
    shown = [
        samples.sample(
            forest,
            samples.Choice(root=one.root, why=()),
            step=found.held_out[place].step,
            scale=0.0,
            per_character=_per_character(found),
        )
        for place, (forest, one) in ((0, was), (-1, now))
    ]
    bare = [replace(one, trunk=_without_arithmetic(one.trunk)) for one in shown]
    item = {
        "title": title,
        "task": was[1].task,
        "first": was[1].success,
        "last": now[1].success,
        "prompt": shown[0].prompt,
        "before": bare[0],
        "after": bare[1],
        "films": [studio.strip(found.held_out[at].folder, own, one.root) for at, (own, one) in ((0, was), (-1, now))],
    }
    return Markup(parts.pair(item))  # noqa: S704 - a macro of the package, escaped


def _without_arithmetic(branch: samples.Branch) -> samples.Branch:
    """Held-out answers get no credit, hence nothing to explain."""
    return replace(
        branch,
        views=tuple(replace(view, line=None) for view in branch.views),
        branches=tuple(_without_arithmetic(below) for below in branch.branches),
    )
