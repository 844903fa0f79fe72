"""RRT* and Informed RRT*: a tree that grows, rewires itself to shorter ways, and samples only where they can be."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from milepost import checks, keys, optional
from milepost.errors import SettingError
from milepost.planning import collision, compiling, kernel
from milepost.planning.problems import Problem

CHUNK = 256
"""Iterations between two looks at the clock."""
_MOST_NEIGHBOURS = 512
_FIRST_ROOM = 1024
_CLOSE = 1e-9
"""Share above the straight line at which a path counts as it."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a planner stood."""

    iterations: int
    seconds: float
    cost: float
    """Length of the best path; infinite before the first."""
    vertices: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a planner came to."""

    problem: Problem
    cost: float
    """Length of the path; infinite where none was found."""
    path: Float[Tensor, "m n"]
    """States from start to goal; empty where no path was found."""
    states: Float[Tensor, "v n"]
    """Vertices of the tree, in the order in which they came; the first is the start."""
    parent: Int[Tensor, " v"]
    """Row of the vertex before each; -1 for the start. After rewiring it may come later in the table."""
    costs: Float[Tensor, " v"]
    """Length from the start."""
    goal: int
    """Row of the goal; -1 where it was not reached."""
    progress: tuple[Progress, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RRTStar:
    """Sampling-based planning toward the shortest path. `informed=False` is RRT*.

    Example:
        >>> from milepost.planning.problems import problem
        >>> plan = RRTStar().plan(problem("wide"), key=keys.root(0), iterations=600)
        >>> round(plan.cost, 1)
        1.2
    """

    informed: bool = True
    """Sample the spheroid of the best path, drop what cannot improve it, prune."""
    steer: float = 0.0
    """Longest step towards a draw, in length units of states; 0 is a fifth of the diagonal of the bounds.

    Edges to neighbours may be longer.
    """
    goal_bias: float = 0.05
    """Share of draws that are the goal itself, until it is reached."""
    neighbours: float = 1.1
    """Factor of k = ceil(neighbours e (1 + 1/n) ln q); at least 1 for optimality in the limit."""
    prune: float = 0.05
    """The tree is pruned when the best path has become shorter by this share since the last time."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.non_negative("steer", self.steer)
        checks.within("goal_bias", self.goal_bias, 0.0, 1.0)
        checks.positive("neighbours", self.neighbours)
        checks.within("prune", self.prune, 0.0, 1.0)

    def plan(
        self,
        problem: Problem,
        *,
        key: int,
        iterations: int = 0,
        seconds: float = math.inf,
        fast: bool | None = None,
    ) -> Plan:
        """Plan until a budget is spent or the path is as short as the straight line.

        Args:
            problem: the problem.
            key: all randomness comes from it; the tree depends on it and on the number of iterations only.
            iterations: draws; 0 is no limit.
            seconds: time on the clock, without compilation; looked at every `CHUNK` iterations.
            fast: whether the inner loop is machine code; None takes what is installed. The tree is the same.

        Returns:
            The best path and the tree.

        Raises:
            SettingError: neither budget is given.
            MissingExtra: `fast` is asked for and numba is not installed.
        """
        if not iterations and not math.isfinite(seconds):
            raise SettingError("A planner needs a budget: give iterations or seconds.")
        growth = _Growth.begin(self, problem, compiling.loop(fast=optional.has_compiler() if fast is None else fast))
        stream, size = keys.generator(keys.fold(key, "plan", problem.name)), problem.dimension
        begun, notes = time.perf_counter(), list[Progress]()
        for count in _chunks(iterations):
            draws = np.empty((CHUNK, 2 * size + 1))
            draws[:, :size] = stream.random((CHUNK, size))
            draws[:, size : 2 * size] = stream.standard_normal((CHUNK, size))
            draws[:, 2 * size] = stream.random(CHUNK)
            growth.advance(draws[:count], stream.random(CHUNK)[:count])
            notes.append(growth.progress(time.perf_counter() - begun))
            if notes[-1].seconds >= seconds or notes[-1].cost <= problem.least * (1 + _CLOSE):
                break
        return growth.finished(tuple(notes))


def _chunks(iterations: int) -> Iterator[int]:
    done = 0
    while not iterations or done < iterations:
        yield min(CHUNK, iterations - done) if iterations else CHUNK
        done += CHUNK


@dataclass(kw_only=True)
class _Growth:
    """The tree while it grows."""

    planner: RRTStar
    problem: Problem
    loop: compiling.Loop
    world: collision.World
    rule: kernel.Rule
    tree: kernel.Tree
    pruned_at: float = math.inf

    @staticmethod
    def begin(planner: RRTStar, problem: Problem, loop: compiling.Loop) -> _Growth:
        world = problem.world()
        rule = kernel.Rule(
            steer=float(planner.steer or 0.2 * problem.diagonal),
            goal_bias=float(planner.goal_bias),
            neighbours=float(planner.neighbours),
            informed=planner.informed,
        )
        if loop.compiled:  # a throw-away tree, so that compilation is no part of the measured time
            draws = np.full((2, 2 * problem.dimension + 1), 0.5)
            waste = _room(problem.dimension, 8)
            _plant(waste, world)
            loop.grow(world, rule, waste, draws, np.array([0.0, 1.0]))
            loop.prune(world, waste, np.empty(8, dtype=np.int64))
        tree = _room(problem.dimension, _FIRST_ROOM)
        _plant(tree, world)
        return _Growth(planner=planner, problem=problem, loop=loop, world=world, rule=rule, tree=tree)

    def advance(self, draws: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
        """Make room, grow by one iteration per draw, prune if it is worth it."""
        count, room = int(self.tree.numbers[kernel.COUNT]), len(self.tree.parent)
        if count + 2 * len(draws) > room:
            self.tree = _enlarged(self.tree, 2 * room)
        self.loop.grow(self.world, self.rule, self.tree, draws, bias)
        best = float(kernel.best_cost(self.tree))
        if self.planner.informed and best < self.pruned_at * (1 - self.planner.prune):
            self.loop.prune(self.world, self.tree, np.empty(len(self.tree.parent), dtype=np.int64))
            self.pruned_at = best

    def progress(self, seconds: float) -> Progress:
        """Where it stands."""
        return Progress(
            iterations=int(self.tree.numbers[kernel.ITERATIONS]),
            seconds=seconds,
            cost=float(kernel.best_cost(self.tree)),
            vertices=int(self.tree.numbers[kernel.COUNT]),
        )

    def finished(self, notes: tuple[Progress, ...]) -> Plan:
        """The result."""
        count, goal = int(self.tree.numbers[kernel.COUNT]), int(self.tree.numbers[kernel.GOAL])
        rows, row = list[int](), goal
        while row >= 0:
            rows.append(row)
            row = int(self.tree.parent[row])
        states = from_numpy(self.tree.points[:count].copy())
        return Plan(
            problem=self.problem,
            cost=float(kernel.best_cost(self.tree)),
            path=states[rows[::-1]],
            states=states,
            parent=from_numpy(self.tree.parent[:count].copy()),
            costs=from_numpy(self.tree.cost[:count].copy()),
            goal=goal,
            progress=notes,
        )


def _room(size: int, room: int) -> kernel.Tree:
    def whole(count: int) -> NDArray[np.int64]:
        return np.full(count, -1, dtype=np.int64)

    return kernel.Tree(
        points=np.empty((room, size)),
        parent=whole(room),
        cost=np.zeros(room),
        first=whole(room),
        after=whole(room),
        left=whole(room),
        right=whole(room),
        near=whole(_MOST_NEIGHBOURS),
        gap=np.zeros(_MOST_NEIGHBOURS),
        pending=whole(max(room, _MOST_NEIGHBOURS)),
        numbers=whole(3),
    )


def _plant(tree: kernel.Tree, world: collision.World) -> None:
    """Make the start the only vertex."""
    tree.points[0] = world.start
    tree.numbers[:] = (1, -1, 0)
    if bool((world.start == world.goal).all()):
        tree.numbers[kernel.GOAL] = 0


def _enlarged(tree: kernel.Tree, room: int) -> kernel.Tree:
    larger = _room(tree.points.shape[1], room)
    for name in ("points", "parent", "cost", "first", "after", "left", "right"):
        old: Any = getattr(tree, name)
        getattr(larger, name)[: len(old)] = old
    larger.numbers[:] = tree.numbers
    return larger
