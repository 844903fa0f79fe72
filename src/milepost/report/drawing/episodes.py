"""What happened along an episode of control: the critic's value and every reward, step by step."""

from __future__ import annotations

from milepost.report.drawing.chart import Chart, Series
from milepost.report.stored.steps import Steps

LEAST_STEPS = 3
"""Shorter episodes are told in numbers alone."""
MOST_CHARTS = 4


def along(steps: Steps, root: int) -> tuple[Chart, ...]:
    """Charts of one episode of a tree: the longest one, the first of several.

    Args:
        steps: a stored forest.
        root: of the tree.

    Returns:
        Value and return in one chart, then one chart per reward that steps have; nothing where trajectories are not
        made of actions with values, or are too short.
    """
    path = longest(steps, root)
    if not appraised(steps) or len(path) <= LEAST_STEPS:
        return ()
    found = [Chart(title="Along the episode: value and return", lines=_lines(steps, path, ("value", "return")))]
    for name in steps.rewards:
        lines = _lines(steps, path, (f"reward.{name}",))
        if lines and name != "total":
            found.append(Chart(title=f"Along the episode: {name}", lines=lines, note="by step"))
    return tuple(chart for chart in found if chart.known)[:MOST_CHARTS]


def appraised(steps: Steps) -> bool:
    """Whether trajectories are made of actions whose credit comes from a critic, and not of texts that are compared."""
    return "value" in steps.numbers and "text" not in steps.texts and not steps.tokens


def longest(steps: Steps, root: int) -> tuple[int, ...]:
    """The longest path of a tree, the first of several.

    Args:
        steps: a stored forest.
        root: of the tree.

    Returns:
        Rows from the root down; nothing where nothing follows the root.
    """
    return max((steps.path(leaf) for leaf in steps.leaves_below(root)), key=len, default=())


def _lines(steps: Steps, path: tuple[int, ...], names: tuple[str, ...]) -> tuple[Series, ...]:
    found: list[Series] = []
    for number, name in enumerate(names):
        values = [steps.number(name, row) for row in path]
        if sum(value is not None for value in values) > 1:
            title = name.removeprefix("reward.")
            found.append(Series(name=title, x=tuple(map(float, range(len(path)))), y=tuple(values), number=number))
    return tuple(found)
