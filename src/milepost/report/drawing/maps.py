"""Maps of planning problems as inline SVG: obstacles, the planner's tree, the best path, the ellipse; arms as poses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

WIDTH = 420
MOST_EDGES = 5000
"""Edges of a tree that are drawn, evenly chosen."""
POSES = 14
"""Poses of an arm along its path."""


def _number(value: float) -> str:
    return f"{value:.2f}"


def _points(states: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in states)


class _Frame:
    """From lengths of the world to pixels, y upwards."""

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        self.low, self.high = low, high
        self.scale = WIDTH / (high[0] - low[0])
        self.height = self.scale * (high[1] - low[1])

    def at(self, state: Sequence[float]) -> tuple[float, float]:
        """A place in pixels."""
        return (state[0] - self.low[0]) * self.scale, self.height - (state[1] - self.low[1]) * self.scale


def _window(scene: Mapping[str, Any], cost: float | None) -> tuple[list[float], list[float]]:
    """Corners of what is drawn: the bounds, or the square around the ellipse where that is smaller."""
    low, high = list(scene["low"]), list(scene["high"])
    if cost is not None and 1.5 * cost < min(b - a for a, b in zip(low, high, strict=True)):
        middle = [(a + b) / 2 for a, b in zip(scene["start"], scene["goal"], strict=True)]
        low, high = [value - 0.75 * cost for value in middle], [value + 0.75 * cost for value in middle]
    return low, high


def _ellipse(frame: _Frame, scene: Mapping[str, Any], cost: float) -> Markup:
    start, goal = scene["start"], scene["goal"]
    least = math.dist(start, goal)
    x, y = frame.at([(a + b) / 2 for a, b in zip(start, goal, strict=True)])
    turn = -math.degrees(math.atan2(goal[1] - start[1], goal[0] - start[0]))
    narrow = math.sqrt(max(0.0, cost * cost - least * least)) / 2
    return Markup('<ellipse class="reach" cx="{}" cy="{}" rx="{}" ry="{}" transform="rotate({} {} {})"/>').format(
        *(_number(v) for v in (x, y, cost / 2 * frame.scale, narrow * frame.scale, turn, x, y))
    )


def edges(states: Sequence[Sequence[float]], parent: Sequence[int], most: int = MOST_EDGES) -> list[tuple[int, int]]:
    """Edges of a tree to draw.

    Args:
        states: one per vertex.
        parent: vertex before each, -1 for the root.
        most: edges at most; of more, every second, third, ... is taken.

    Returns:
        Pairs of vertices.
    """
    found = [(row, above) for row, above in enumerate(parent[: len(states)]) if above >= 0]
    return found[:: max(1, math.ceil(len(found) / most))]


def plane(
    scene: Mapping[str, Any], cost: float | None, states: Sequence[Sequence[float]], parent: Sequence[int]
) -> Markup:
    """Draw a problem in the plane with a planner's tree.

    Args:
        scene: the record of `planning.seeking.scene_of`.
        cost: length of the best path; None where there is none: no ellipse then.
        states: vertices of the tree.
        parent: vertex before each, -1 for the root.

    Returns:
        One SVG element.
    """
    frame = _Frame(*_window(scene, cost))
    boxes = Markup("").join(
        Markup('<rect class="solid" x="{}" y="{}" width="{}" height="{}"/>').format(
            _number(frame.at(low)[0]),
            _number(frame.at(high)[1]),
            _number((high[0] - low[0]) * frame.scale),
            _number((high[1] - low[1]) * frame.scale),
        )
        for low, high in scene["boxes"]
    )
    lines = "".join(
        f"M{_number(frame.at(states[row])[0])} {_number(frame.at(states[row])[1])}"
        f"L{_number(frame.at(states[above])[0])} {_number(frame.at(states[above])[1])}"
        for row, above in edges(states, parent)
    )
    path = _points([frame.at(state) for state in scene["path"]])
    ends = Markup("").join(
        Markup('<circle class="mark s{}" cx="{}" cy="{}" r="5"/>').format(
            number, *(_number(v) for v in frame.at(place))
        )
        for number, place in enumerate((scene["start"], scene["goal"]))
    )
    tree = Markup('<path class="twig" d="{}"/>').format(lines)
    way = Markup('<polyline class="line s1" points="{}"/>').format(path)
    reach = Markup("") if cost is None else _ellipse(frame, scene, cost)
    return _svg(frame.height, Markup("").join((tree, boxes, reach, way, ends)), "map with tree, ellipse and best path")


def along(path: Sequence[Sequence[float]], count: int) -> list[list[float]]:
    """States at equal distances along a path.

    Args:
        path: states from the first to the last; at least one.
        count: states wanted, at least 2.

    Returns:
        That many states, both ends included.
    """
    lengths = [math.dist(a, b) for a, b in pairwise(path)]
    total, found = sum(lengths), list[list[float]]()
    for number in range(count):
        left = total * number / (count - 1)
        place = 0
        while place < len(lengths) - 1 and left > lengths[place]:
            left -= lengths[place]
            place += 1
        part = min(1.0, left / lengths[place]) if lengths and lengths[place] else 0.0
        following = path[min(place + 1, len(path) - 1)]
        found.append([a + part * (b - a) for a, b in zip(path[place], following, strict=True)])
    return found


def arm(scene: Mapping[str, Any]) -> Markup:
    """Draw an arm along its best path: first pose and last pose dark, those between light.

    Args:
        scene: the record of `planning.seeking.scene_of`.

    Returns:
        One SVG element.
    """
    reach = 1.08 * sum(scene["links"])
    frame = _Frame((-reach, -reach), (reach, reach))
    discs = Markup("").join(
        Markup('<circle class="solid" cx="{}" cy="{}" r="{}"/>').format(
            *(_number(value) for value in frame.at((x, y))), _number(radius * frame.scale)
        )
        for x, y, radius in scene["discs"]
    )
    poses = along(scene["path"], POSES) if scene["path"] else [scene["start"], scene["goal"]]
    drawn = list[Markup]()
    for number, pose in enumerate(poses):
        x, y, angle, joints = 0.0, 0.0, 0.0, [frame.at((0.0, 0.0))]
        for turn, length in zip(pose, scene["links"], strict=True):
            angle += turn
            x, y = x + length * math.cos(angle), y + length * math.sin(angle)
            joints.append(frame.at((x, y)))
        last = number == len(poses) - 1
        kind = "line s0" if number == 0 else ("line s1" if last else "pose")
        drawn.append(Markup('<polyline class="{}" points="{}"/>').format(kind, _points(joints)))
    order = [*drawn[1:-1], drawn[0], drawn[-1]]
    return _svg(frame.height, Markup("").join((discs, *order)), "poses of the arm along its best path")


def _svg(height: float, inside: Markup, told: str) -> Markup:
    return Markup('<svg class="chart map" viewBox="-6 -6 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH + 12, _number(height + 12), told, inside
    )
