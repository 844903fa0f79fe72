"""Drawings other than line charts, as inline SVG: a batch at a glance, a tree, tokens as a strip, before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from milepost.report import figures
from milepost.report.drawing import shades
from milepost.report.literal import visible
from milepost.report.stored.groups import Group, mean_credit
from milepost.report.stored.steps import Steps

_CELL, _GAP = 13, 2
_MOST_CELLS = 64
_MOST_LEAVES, _MOST_LEVELS = 40, 24


def _sign(credit: float | None) -> str:
    if credit is None:
        return "×"
    return "" if credit == 0 else ("+" if credit > 0 else figures.MINUS)


def _told(row: int, credit: float | None, reward: float | None) -> str:
    state = "reward failed" if reward is None else f"reward {figures.plain(reward)}"
    return f"#{row}: {state}, credit {figures.signed(credit)}"


def _cell(x: int, y: int, credit: float | None, scale: float, told: str) -> Markup:
    return Markup(
        '<g><title>{}</title><rect class="c {}" x="{}" y="{}" width="{}" height="{}" rx="2.5"/>'
        '<text class="sign {}" x="{}" y="{}">{}</text></g>'
    ).format(
        told,
        shades.credit_class(credit, scale),
        x,
        y,
        _CELL,
        _CELL,
        shades.credit_class(credit, scale),
        x + _CELL / 2,
        y + _CELL / 2 + 3.4,
        _sign(credit),
    )


def group_cells(steps: Steps, group: Group, scale: float) -> Markup:
    """Draw the answers of a group as cells coloured by the mean credit of their steps, the best first, with its sign.

    Args:
        steps: a stored forest.
        group: one of its groups.
        scale: credit at the ends of the colour scale.

    Returns:
        One SVG element; answers without a reward are crossed, what does not fit is left out.
    """
    rows: list[tuple[int, float | None, float | None]] = []
    for leaf, reward in zip(group.leaves, group.rewards, strict=True):
        rows.append((leaf, None if reward is None else mean_credit(steps, leaf), reward))
    rows.sort(key=lambda row: (row[1] is None, -(row[1] or 0.0), row[0]))
    per_line = 8 if len(rows) <= 16 else 16
    shown = rows[:_MOST_CELLS]
    cells = [
        _cell(
            place % per_line * (_CELL + _GAP),
            place // per_line * (_CELL + _GAP),
            credit,
            scale,
            _told(leaf, credit, reward),
        )
        for place, (leaf, credit, reward) in enumerate(shown)
    ]
    wide = min(per_line, max(len(shown), 1)) * (_CELL + _GAP) - _GAP
    high = max(math.ceil(len(shown) / per_line), 1) * (_CELL + _GAP) - _GAP
    return Markup(
        '<svg class="cells" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}</svg>'
    ).format(wide, high, _summary(group), Markup("").join(cells))


def _summary(group: Group) -> str:
    told = f"{len(group.leaves)} answers, mean return {figures.plain(group.spread.mean)}"
    if group.failed:
        told += f", {group.failed} failed"
    return told + (", all equal" if group.dead else "")


def tree(steps: Steps, root: int, scale: float) -> Markup | None:
    """Draw a branching tree: depth to the right, one line per trajectory, each step coloured by its credit.

    Args:
        steps: a stored forest.
        root: a row without a parent.
        scale: credit at the ends of the colour scale.

    Returns:
        One SVG element; None if the tree does not branch below its root or is too large to be read.
    """
    rows, leaves = steps.trees[root], steps.leaves_below(root)
    level = {root: 0}
    for row in rows[1:]:
        level[row] = level[int(steps.parent[row])] + 1
    deepest = max(level.values())
    if deepest < 2 or len(leaves) > _MOST_LEAVES or deepest > _MOST_LEVELS:
        return None
    height = _heights(steps, root)
    across = min(120, 940 // deepest)
    place = {row: (14 + level[row] * across, 14 + height[row] * 26) for row in rows}
    edges = [_edge(place[int(steps.parent[row])], place[row]) for row in rows[1:]]
    nodes = [_node(steps, row, place[row], scale) for row in rows]
    wide, high = 14 + deepest * across + 60, 28 + 26 * max(len(leaves) - 1, 0)
    return Markup(
        '<svg class="tree" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">{3}{4}</svg>'
    ).format(
        wide,
        high,
        f"Tree of {len(rows) - 1} steps and {len(leaves)} trajectories",
        Markup('<path class="edge" d="{}"/>').format("".join(edges)),
        Markup("").join(nodes),
    )


def _heights(steps: Steps, root: int) -> dict[int, float]:
    """Leaves one below the other in the order of the tree, every other step amid its children."""
    height: dict[int, float] = {}
    stack, order = [root], list[int]()
    while stack:
        row = stack.pop()
        order.append(row)
        stack.extend(reversed(steps.children[row]))
    following = 0
    for row in order:
        if not steps.children[row]:
            height[row], following = float(following), following + 1
    for row in reversed(order):
        if steps.children[row]:
            below = [height[child] for child in steps.children[row]]
            height[row] = (below[0] + below[-1]) / 2
    return height


def _edge(above: tuple[float, float], below: tuple[float, float]) -> str:
    middle = (above[0] + below[0]) / 2
    return f"M{above[0]:g} {above[1]:g}C{middle:g} {above[1]:g} {middle:g} {below[1]:g} {below[0]:g} {below[1]:g}"


def _node(steps: Steps, row: int, at: tuple[float, float], scale: float) -> Markup:
    credit, reward = steps.number("advantage", row), steps.number(f"reward.{steps.main_reward}", row)
    is_root, leaf = steps.parent[row] < 0, not steps.children[row]
    style = "root" if is_root else shades.credit_class(credit, scale)
    told = f"#{row}" + ("" if is_root else f": credit {figures.signed(credit)}")
    told += f", reward {figures.plain(reward)}" if reward is not None else ""
    label = Markup('<text class="tick" x="{}" y="{}">{}</text>').format(at[0] + 13, at[1] + 3.5, figures.signed(credit))
    return Markup(
        '<g><title>{}</title><circle class="c {}" cx="{}" cy="{}" r="8"/>'
        '<text class="sign {}" x="{}" y="{}">{}</text>{}</g>'
    ).format(
        told, style, at[0], at[1], style, at[0], at[1] + 3.6, "" if is_root else _sign(credit), label if leaf else ""
    )


def strip(shaded: Sequence[int]) -> Markup:
    """Draw tokens as a strip, the darker the less expected.

    Args:
        shaded: shade of each token, 0 to 4.

    Returns:
        One SVG element that fills its line.
    """
    parts: list[Markup] = []
    start = 0
    for place in range(1, len(shaded) + 1):
        if place == len(shaded) or shaded[place] != shaded[start]:
            if shaded[start]:
                parts.append(
                    Markup('<path class="t{}" d="M{} 0h{}v1h-{}z"/>').format(
                        shaded[start], start, place - start, place - start
                    )
                )
            start = place
    return Markup(
        '<svg class="strip" viewBox="0 0 {} 1" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(
        max(len(shaded), 1),
        f"{len(shaded)} tokens, {sum(shade >= 3 for shade in shaded)} of them under 10 % likely",
        Markup("").join(parts),
    )


def before_after(first: float, last: float, bounds: Sequence[float | None], label: str) -> Markup:
    """Draw two shares on one line from 0 to 100 %: an open dot before, a full dot after, intervals as bars.

    Args:
        first: share before, in [0, 1].
        last: share after.
        bounds: low and high before, low and high after; None where unknown.
        label: what it is of, for the text alternative.

    Returns:
        One SVG element that fills its line.
    """

    def x(value: float) -> float:
        return round(8 + 384 * min(1.0, max(0.0, value)), 1)

    parts = [Markup('<path class="axis" d="M8 12H392"/>')]
    for low, high, style in ((*bounds[:2], "was"), (*bounds[2:], "now")) if len(bounds) == 4 else ():
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
            parts.append(Markup('<path class="range {}" d="M{} 12H{}"/>').format(style, x(low), x(high)))
    known = [(value, style) for value, style in ((first, "was"), (last, "now")) if math.isfinite(value)]
    if len(known) == 2:
        parts.append(Markup('<path class="gain" d="M{} 12H{}"/>').format(x(first), x(last)))
    parts += [Markup('<circle class="{}" cx="{}" cy="12" r="5"/>').format(style, x(value)) for value, style in known]
    return Markup(
        '<svg class="span" viewBox="0 0 400 24" preserveAspectRatio="xMinYMid" role="img" aria-label="{}">{}</svg>'
    ).format(f"{visible(label)}: {figures.share(first)} before, {figures.share(last)} after", Markup("").join(parts))


def interval(estimate: float, low: float | None, high: float | None, label: str) -> Markup:
    """Draw a difference with its interval around a line at 0.

    Args:
        estimate: the difference, finite.
        low: lower bound; None where unknown.
        high: upper bound; None where unknown.
        label: what it is of, for the text alternative.

    Returns:
        One SVG element that fills its line; 0 is in the middle, the scale that of the widest bound.
    """
    known = [v for v in (estimate, low, high) if v is not None and math.isfinite(v)]
    widest = max((abs(value) for value in known), default=0.0) or 1.0

    def x(value: float) -> float:
        return round(200 + 180 * value / widest, 1)

    parts = [Markup('<path class="axis" d="M8 12H392M200 3V21"/>')]
    if len(known) == 3 and low is not None and high is not None:
        style = "now" if low > 0 or high < 0 else "was"
        parts.append(Markup('<path class="range {}" d="M{} 12H{}"/>').format(style, x(low), x(high)))
    parts.append(Markup('<circle class="now" cx="{}" cy="12" r="5"/>').format(x(estimate)))
    told = f"{visible(label)}: {figures.plain(estimate)}, interval {figures.plain(low)} to {figures.plain(high)}"
    return Markup(
        '<svg class="span" viewBox="0 0 400 24" preserveAspectRatio="xMinYMid" role="img" aria-label="{}">{}</svg>'
    ).format(told, Markup("").join(parts))
