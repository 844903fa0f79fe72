"""Planning problems: points among boxes, and a planar arm among discs. Lengths are Euclidean distances of states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from milepost import checks, keys
from milepost.errors import SettingError, unknown_name
from milepost.planning import collision

Box = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Where to go from where, and what is in the way."""

    name: str
    low: tuple[float, ...]
    """Smallest value of each coordinate."""
    high: tuple[float, ...]
    start: tuple[float, ...]
    goal: tuple[float, ...]
    boxes: tuple[Box, ...] = ()
    """Lower and upper corner of each obstacle, in the space of states."""
    links: tuple[float, ...] = ()
    """Lengths of an arm's links: the state is then its joint angles, in radians, each relative to the link before."""
    discs: tuple[tuple[float, float, float], ...] = ()
    """Obstacles of an arm: x, y, radius, with its foot at the origin."""
    spacing: float = 0.02
    """Largest distance between two looked-at states of an arm's motion: a length, whatever the size of the world."""

    def __post_init__(self) -> None:
        """Check that everything has one dimension, and that start and goal are allowed."""
        sizes = {len(self.low), len(self.high), len(self.start), len(self.goal)}
        sizes |= {len(corner) for box in self.boxes for corner in box} | ({len(self.links)} if self.links else set())
        if len(sizes) != 1 or 0 in sizes:
            raise SettingError(f"Problem {self.name!r} mixes dimensions {sorted(sizes)}: expected one, at least 1.")
        if self.links and self.boxes:
            raise SettingError(f"Problem {self.name!r} has links and boxes: an arm avoids discs only.")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise SettingError(f"Problem {self.name!r} has bounds {self.low} to {self.high}: low must be below high.")
        checks.positive("spacing", self.spacing)
        for name, state in (("start", self.start), ("goal", self.goal)):
            if not collision.free(self.world(), np.array(state, dtype=np.float64)):
                raise SettingError(f"The {name} {state} of problem {self.name!r} is out of bounds or in an obstacle.")

    @property
    def dimension(self) -> int:
        """Number of coordinates of a state."""
        return len(self.low)

    @property
    def least(self) -> float:
        """Distance from start to goal: no path is shorter."""
        return math.dist(self.start, self.goal)

    @property
    def diagonal(self) -> float:
        """Length of the diagonal of the bounds."""
        return math.dist(self.low, self.high)

    def world(self) -> collision.World:
        """The problem as arrays for the inner loop."""
        size = len(self.low)
        lows, highs = np.array(self.low, dtype=np.float64), np.array(self.high, dtype=np.float64)
        corners = np.array(self.boxes, dtype=np.float64).reshape(len(self.boxes), 2, size)
        start, goal = np.array(self.start, dtype=np.float64), np.array(self.goal, dtype=np.float64)
        return collision.World(
            low=lows,
            high=highs,
            start=start,
            goal=goal,
            turn=_turn(start, goal),
            volume=float((highs - lows).prod()),
            boxes_low=np.ascontiguousarray(corners[:, 0]),
            boxes_high=np.ascontiguousarray(corners[:, 1]),
            links=np.array(self.links, dtype=np.float64),
            discs=np.array(self.discs, dtype=np.float64).reshape(len(self.discs), 3),
            spacing=self.spacing,
        )


def _turn(start: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    import torch

    from milepost.planning.spheroid import rotation

    return np.ascontiguousarray(rotation(torch.from_numpy(start), torch.from_numpy(goal)).numpy())


def states_free(problem: Problem, states: Float[Tensor, "k n"]) -> Bool[Tensor, " k"]:
    """Which states are allowed, all at once.

    Args:
        problem: the problem.
        states: one state per row.

    Returns:
        One flag per row.
    """
    import torch

    low, high = (torch.tensor(corner, dtype=states.dtype) for corner in (problem.low, problem.high))
    fine = ((states >= low) & (states <= high)).all(dim=1)
    for corners in problem.boxes:
        under, over = (torch.tensor(corner, dtype=states.dtype) for corner in corners)
        fine &= ~((states >= under) & (states <= over)).all(dim=1)
    if problem.links:
        fine &= ~_arms_hit(problem, states)
    return fine


def _arms_hit(problem: Problem, states: Tensor) -> Tensor:
    """Which arms touch a disc: distance of each disc's middle to each link, all states at once."""
    import torch

    angles = states.cumsum(dim=1)
    steps = torch.tensor(problem.links, dtype=states.dtype)[None, :, None] * torch.stack(
        (angles.cos(), angles.sin()), 2
    )
    ends = steps.cumsum(dim=1)
    begins = ends - steps
    hit = torch.zeros(len(states), dtype=torch.bool)
    for x, y, radius in problem.discs:
        middle = torch.tensor([x, y], dtype=states.dtype)
        part = (((middle - begins) * steps).sum(2) / (steps * steps).sum(2)).clamp(0, 1)
        away = (begins + part[..., None] * steps - middle).norm(dim=2)
        hit |= (away <= radius).any(dim=1)
    return hit


def motions_free(problem: Problem, begins: Float[Tensor, "k n"], ends: Float[Tensor, "k n"]) -> Bool[Tensor, " k"]:
    """Which straight motions are allowed, all at once, by states at most `spacing` apart.

    Args:
        problem: the problem.
        begins: first state of each motion.
        ends: last state of each motion.

    Returns:
        One flag per motion.
    """
    import torch

    if len(begins) == 0:
        return torch.zeros(0, dtype=torch.bool)
    counts = ((ends - begins).norm(dim=1) / problem.spacing).ceil().long() + 1
    owner = torch.repeat_interleave(torch.arange(len(begins)), counts)
    first = counts.cumsum(0) - counts
    part = (torch.arange(len(owner)) - first[owner]) / (counts[owner] - 1).clamp(min=1)
    fine = states_free(problem, begins[owner] + part[:, None].to(begins.dtype) * (ends - begins)[owner])
    return torch.ones(len(begins), dtype=torch.int64).scatter_reduce(0, owner, fine.long(), "amin").bool()


def _scattered(name: str, seed: int, count: int) -> Problem:
    """Boxes at random in the unit square, none over a corner where the path begins or ends."""
    stream = keys.generator(keys.fold(keys.root(seed), "planning", name))
    boxes: list[Box] = []
    while len(boxes) < count:
        low = stream.uniform(0.0, 0.9, 2)
        high = low + stream.uniform(0.05, 0.22, 2)
        if not any((low - 0.06 <= corner).all() and (corner <= high + 0.06).all() for corner in (0.05, 0.95)):
            boxes.append(cast("Box", (tuple(low.tolist()), tuple(high.tolist()))))
    return Problem(name=name, low=(0, 0), high=(1, 1), start=(0.05, 0.05), goal=(0.95, 0.95), boxes=tuple(boxes))


def _arm(
    name: str, *, start: tuple[float, ...], goal: tuple[float, ...], discs: tuple[tuple[float, ...], ...]
) -> Problem:
    reach = (math.pi,) * 6
    return Problem(
        name=name,
        low=tuple(-limit for limit in reach),
        high=reach,
        start=start,
        goal=goal,
        links=(1 / 6,) * 6,
        discs=cast("tuple[tuple[float, float, float], ...]", discs),
        spacing=0.05,
    )


def problem(name: str) -> Problem:
    """A problem by its name.

    Args:
        name: one of `NAMES`.

    Returns:
        The problem.

    Raises:
        UnknownName: no such problem.
    """
    gap = ((0.45, 0.0), (0.55, 0.85)), ((0.45, 0.88), (0.55, 1.0))
    walls = tuple(
        (
            (0.2 + 0.2 * number, 0.0 if number % 2 == 0 else 0.15),
            (0.23 + 0.2 * number, 0.85 if number % 2 == 0 else 1.0),
        )
        for number in range(4)
    )
    if name == "gap":
        return Problem(name=name, low=(0, 0), high=(1, 1), start=(0.1, 0.1), goal=(0.9, 0.1), boxes=gap)
    if name == "walls":
        return Problem(name=name, low=(0, 0), high=(1, 1), start=(0.05, 0.5), goal=(0.95, 0.5), boxes=walls)
    if name == "scattered":
        return _scattered(name, 1, 18)
    if name == "wide":  # a small obstacle in a large world: most of a uniform sampler's work is wasted
        box = ((-0.25, -0.25), (0.25, 0.25))
        return Problem(name=name, low=(-3, -3), high=(3, 3), start=(-0.5, 0), goal=(0.5, 0), boxes=(box,))
    if name == "arm-pillar":
        return _arm(name, start=(1.2, 0, 0, 0, 0, 0), goal=(-1.2, 0, 0, 0, 0, 0), discs=((0.7, 0.0, 0.12),))
    if name == "arm-shelf":
        discs = ((0.45, 0.35, 0.1), (0.75, 0.1, 0.08), (0.45, -0.35, 0.1))
        return _arm(name, start=(1.9, -0.3, 0, 0, 0, 0), goal=(-1.9, 0.3, 0, 0, 0, 0), discs=discs)
    raise unknown_name("planning problem", name, NAMES)


NAMES = ("gap", "walls", "scattered", "wide", "arm-pillar", "arm-shelf")
"""Problems that ship with milepost: four maps and two arms of six joints."""
