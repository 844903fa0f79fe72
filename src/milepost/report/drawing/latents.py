"""A tree of denoising steps with pictures: what the model foresees at each fork, and the images at the ends."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from milepost.columns import End
from milepost.report import figures
from milepost.report.drawing import pictures, shades
from milepost.report.stored.steps import Steps

MOST_LEAVES = 16
"""Images that are shown; of more, those that are likeliest to be drawn, or rewarded best, and a few of the worst."""
_SIDE, _LINE, _LEFT = 46, 68, 16


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """Rows that are drawn, and the drawn row above each."""

    above: Mapping[int, int]
    """By row, in the order of the tree; -1 for the root."""
    leaves: tuple[int, ...]
    hidden: int
    """Images that are left out."""


def tree(steps: Steps, root: int, scale: float) -> Markup | None:
    """Draw the forks and the ends of a tree of denoising steps, time to the right.

    A fork shows the clean image that is foreseen there (`estimate`, else `completion`, else the latent itself) above
    the time and the mean reward of all images below it; an end shows the image and its reward. The frame has the colour
    of the credit of the step that led there.

    Args:
        steps: a stored forest with latents.
        root: a row without a parent.
        scale: credit at the ends of the colour scale; 0 where no credit was given.

    Returns:
        One SVG element; None where no latents can be drawn, or the tree does not branch below the first noise.
    """
    latent = steps.numbers.get("latent")
    if latent is None or not pictures.fits(latent.shape[1:]):
        return None
    if not any(len(steps.children[row]) > 1 for row in steps.trees[root] if row != root):
        return None
    shown, depth = _shown(steps, root), _depths(steps, root)
    place = _places(shown, depth)
    worth = _mean_below(steps, root)
    edges = [_edge(place[above], place[row]) for row, above in shown.above.items() if above >= 0]
    nodes = [_node(steps, row, place[row], worth[row], scale) for row in shown.above if row != root]
    x, y = place[root]
    start = Markup('<circle class="c root" cx="{}" cy="{}" r="6"/>').format(x, y)
    wide = max(x for x, _ in place.values()) + _SIDE
    high = _LINE * len(shown.leaves) + 8
    told = f"Tree of {len(steps.leaves_below(root))} images, {len(shown.leaves)} of them shown"
    note = Markup("")
    if shown.hidden:
        note = Markup('<text class="tick" x="{}" y="{}">{} more images not shown</text>').format(
            _LEFT, high, shown.hidden
        )
        high += 12
    return Markup(
        '<svg class="tree latents" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}">'
        '<path class="edge" d="{3}"/>{4}{5}{6}</svg>'
    ).format(wide, high, told, "".join(edges), start, Markup("").join(nodes), note)


def _finished(steps: Steps, root: int) -> tuple[int, ...]:
    return tuple(row for row in steps.leaves_below(root) if steps.end(row) is not End.PRUNED)


def _shown(steps: Steps, root: int) -> _Shown:
    """Chosen ends, and the rows above them at which the whole tree forks."""
    ends = _finished(steps, root)
    chosen = sorted(_chosen(steps, ends))
    kept: set[int] = set()
    for row in chosen:
        kept.update(steps.path(row))
    above: dict[int, int] = {}
    stack = [(root, -1)]
    while stack:
        row, upper = stack.pop()
        if row == root or len(steps.children[row]) != 1:
            above[row] = upper
            upper = row
        stack.extend((child, upper) for child in reversed(steps.children[row]) if child in kept)
    return _Shown(
        above=above, leaves=tuple(row for row in above if not steps.children[row]), hidden=len(ends) - len(chosen)
    )


def _chosen(steps: Steps, ends: Sequence[int]) -> Sequence[int]:
    if len(ends) <= MOST_LEAVES:
        return ends
    by = "weight" if "weight" in steps.numbers else f"reward.{steps.main_reward}"
    ranked = sorted(ends, key=lambda row: -(steps.number(by, row) or -1e9))
    few = MOST_LEAVES // 4
    return [*ranked[: MOST_LEAVES - few], *ranked[-few:]]


def _depths(steps: Steps, root: int) -> dict[int, int]:
    depth = {root: 0}
    for row in steps.trees[root][1:]:
        depth[row] = depth[int(steps.parent[row])] + 1
    return depth


def _places(shown: _Shown, depth: Mapping[int, int]) -> dict[int, tuple[float, float]]:
    """Ends one below the other; every fork amid what is shown below it."""
    height = {row: _LINE * number + _LINE / 2 for number, row in enumerate(shown.leaves)}
    below: dict[int, list[int]] = {}
    for row, above in shown.above.items():
        below.setdefault(above, []).append(row)
    for row in reversed(list(shown.above)):
        if row not in height:
            own = [height[child] for child in below.get(row, []) if child in height]
            height[row] = (own[0] + own[-1]) / 2 if own else _LINE / 2
    levels = {level: number for number, level in enumerate(sorted({depth[row] for row in shown.above}))}
    across = max(_SIDE + 14, min(150, 900 // max(len(levels), 1)))
    return {row: (_LEFT + levels[depth[row]] * across, height[row]) for row in shown.above}


def _mean_below(steps: Steps, root: int) -> dict[int, float | None]:
    """Mean reward of the images at or below each row; None where none has one."""
    total: dict[int, tuple[float, int]] = {}
    for row in _finished(steps, root):
        value = steps.number(f"reward.{steps.main_reward}", row)
        if value is not None:
            for above in steps.path(row):
                known = total.get(above, (0.0, 0))
                total[above] = (known[0] + value, known[1] + 1)
    return {row: total[row][0] / total[row][1] if row in total else None for row in steps.trees[root]}


def _edge(above: tuple[float, float], below: tuple[float, float]) -> str:
    start, end = above[0] + (_SIDE / 2 if above[0] > _LEFT else 0), below[0] - _SIDE / 2
    middle = (start + end) / 2
    return f"M{start:g} {above[1]:g}C{middle:g} {above[1]:g} {middle:g} {below[1]:g} {end:g} {below[1]:g}"


def _image(steps: Steps, row: int) -> NDArray[Any]:
    """What is foreseen at a row, or the latent where nothing is."""
    for name in ("estimate", "completion"):
        values, valid = steps.numbers.get(name), steps.valid.get(name)
        if values is not None and (valid is None or valid[row]) and np.isfinite(values[row]).all():
            return values[row]
    return steps.numbers["latent"][row]


def _node(steps: Steps, row: int, at: tuple[float, float], worth: float | None, scale: float) -> Markup:
    leaf, time = not steps.children[row], steps.number("time", row)
    credit, share = steps.number("advantage", row), steps.number("weight", row)
    data = base64.b64encode(pictures.png(_image(steps, row))).decode("ascii")
    said = figures.fixed(worth) if leaf else f"t {figures.plain(time)} · {figures.fixed(worth)}"
    told = (
        f"#{row}, time {figures.plain(time)}: "
        + ("reward" if leaf else "mean reward below")
        + f" {figures.plain(worth)}"
    )
    if credit is not None and scale:
        told += f", credit {figures.signed(credit)}"
    if share is not None:
        told += f", drawn with {figures.share(share, 1)}"
    left, top = at[0] - _SIDE / 2, at[1] - _LINE / 2 + 2
    frame = shades.credit_class(credit, scale) if scale else "z"
    box = Markup('<rect class="c {0}" x="{1}" y="{2}" width="{3}" height="{3}" rx="3"/>').format(
        frame, left, top, _SIDE
    )
    image = Markup('<image x="{0}" y="{1}" width="{2}" height="{2}" href="data:image/png;base64,{3}"/>').format(
        left + 3, top + 3, _SIDE - 6, data
    )
    label = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        at[0], at[1] + _LINE / 2 - 7, said
    )
    return Markup("<g><title>{}</title>{}{}{}</g>").format(told, box, image, label)
