"""The planner's inner loop: plain functions on arrays, compiled by `compiling.compiled` where numba is installed.

A tree is a set of arrays; vertex 0 is the start. `left` and `right` make a k-d tree of the vertices in the order in
which they came, `first` and `after` are lists of children, by which a change of cost reaches the whole subtree.

Source: Karaman and Frazzoli 2011 (RRT*); Gammell, Srinivasa and Barfoot 2014 (the informed set).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from milepost.planning.collision import Floats, World, distance, free, inside, motion_free

Ints = NDArray[np.int64]

COUNT, GOAL, ITERATIONS = 0, 1, 2
"""Places of `Tree.numbers`: vertices, row of the goal (-1: not reached), iterations done."""
_SAME = 1e-12


class Rule(NamedTuple):
    """Settings of the planner as numbers."""

    steer: float
    goal_bias: float
    neighbours: float
    """k = ceil(neighbours e (1 + 1/n) ln q)."""
    informed: bool


class Tree(NamedTuple):
    """A tree of states."""

    points: Floats
    parent: Ints
    cost: Floats
    """Length from the start."""
    first: Ints
    after: Ints
    left: Ints
    right: Ints
    near: Ints
    gap: Floats
    pending: Ints
    numbers: Ints


def nearest(tree: Tree, state: Floats, count: int) -> int:
    """Fill `near` and `gap` with the `count` nearest vertices, the nearest first; return how many there are."""
    size, found = state.shape[0], 0
    top, tree.pending[0] = 1, 0
    while top > 0:
        top -= 1
        code = tree.pending[top]
        vertex, depth = code // 4096, code % 4096
        while vertex >= 0:
            away = distance(tree.points[vertex], state)
            if found < count or away < tree.gap[found - 1]:
                place = found if found < count else count - 1
                found = min(count, found + 1)
                while place > 0 and tree.gap[place - 1] > away:
                    tree.gap[place], tree.near[place] = tree.gap[place - 1], tree.near[place - 1]
                    place -= 1
                tree.gap[place], tree.near[place] = away, vertex
            axis = depth % size
            side = state[axis] - tree.points[vertex, axis]
            closer, other = tree.right[vertex], tree.left[vertex]
            if side < 0:
                closer, other = other, closer
            if other >= 0 and (found < count or abs(side) < tree.gap[found - 1]):
                tree.pending[top] = other * 4096 + depth + 1
                top += 1
            vertex, depth = closer, depth + 1
    return found


def insert(tree: Tree, vertex: int) -> None:
    """Put a vertex into the k-d tree."""
    tree.left[vertex] = tree.right[vertex] = -1
    if vertex == 0:
        return
    place, depth, size = 0, 0, tree.points.shape[1]
    while True:
        axis = depth % size
        smaller = tree.points[vertex, axis] < tree.points[place, axis]
        following = tree.left[place] if smaller else tree.right[place]
        if following < 0:
            break
        place, depth = following, depth + 1
    if smaller:
        tree.left[place] = vertex
    else:
        tree.right[place] = vertex


def attach(tree: Tree, vertex: int, parent: int, cost: float) -> None:
    """Make a vertex a child of another.

    Args:
        tree: the tree; it is changed.
        vertex: the child; it must be nobody's.
        parent: the parent.
        cost: length of the child from the start.
    """
    tree.parent[vertex], tree.cost[vertex] = parent, cost
    tree.after[vertex] = tree.first[parent]
    tree.first[parent] = vertex


def add(tree: Tree, state: Floats, parent: int, cost: float) -> int:
    """Add a vertex; the caller sees to the room.

    Args:
        tree: the tree; it is changed.
        state: where it is.
        parent: vertex that it is reached from.
        cost: its length from the start.

    Returns:
        The vertex.
    """
    vertex = tree.numbers[COUNT]
    tree.numbers[COUNT] += 1
    tree.points[vertex] = state
    tree.first[vertex] = -1
    attach(tree, vertex, parent, cost)
    insert(tree, vertex)
    return vertex


def move(tree: Tree, vertex: int, parent: int, cost: float) -> None:
    """Give a vertex another parent, and every vertex below it its new cost."""
    old = tree.parent[vertex]
    if tree.first[old] == vertex:
        tree.first[old] = tree.after[vertex]
    else:
        before = tree.first[old]
        while tree.after[before] != vertex:
            before = tree.after[before]
        tree.after[before] = tree.after[vertex]
    attach(tree, vertex, parent, cost)
    top, tree.pending[0] = 1, vertex
    while top > 0:
        top -= 1
        above = tree.pending[top]
        child = tree.first[above]
        while child >= 0:
            tree.cost[child] = tree.cost[above] + distance(tree.points[above], tree.points[child])
            tree.pending[top] = child
            top += 1
            child = tree.after[child]


def spheroid_volume(cost: float, least: float, size: int) -> float:
    """Volume of the spheroid, as `spheroid.volume`."""
    narrow = max(0.0, cost * cost - least * least)
    return math.pi ** (size / 2) * cost * narrow ** ((size - 1) / 2) / (2.0**size * math.gamma(size / 2 + 1))


def sample(world: World, rule: Rule, draws: Floats, best: float, state: Floats) -> bool:
    """Turn one row of draws into a state: uniform in the spheroid of the best path, or in the bounds if they are less.

    Args:
        world: the problem.
        rule: the planner's settings.
        draws: n uniforms for the bounds, n normals and one uniform for the ball.
        best: length of the best path; infinite before the first.
        state: filled with the state.

    Returns:
        False where the draw is out of bounds or cannot improve the best path.
    """
    size = state.shape[0]
    least = distance(world.start, world.goal)
    informed = rule.informed and best < math.inf
    if not informed or spheroid_volume(best, least, size) > world.volume:
        for axis in range(size):
            state[axis] = world.low[axis] + draws[axis] * (world.high[axis] - world.low[axis])
        return not informed or distance(world.start, state) + distance(state, world.goal) < best
    length = 0.0
    for axis in range(size):
        length += draws[size + axis] ** 2
    radius = draws[2 * size] ** (1.0 / size) / math.sqrt(length)
    narrow = math.sqrt(max(0.0, best * best - least * least)) / 2
    for axis in range(size):
        state[axis] = (world.start[axis] + world.goal[axis]) / 2
    for other in range(size):
        along = radius * draws[size + other] * (best / 2 if other == 0 else narrow)
        for axis in range(size):
            state[axis] += world.turn[axis, other] * along
    return inside(world, state)


def best_cost(tree: Tree) -> float:
    """Length of the best path; infinite where the goal is not reached."""
    goal = tree.numbers[GOAL]
    return float(tree.cost[goal]) if goal >= 0 else math.inf


def wanted(tree: Tree, rule: Rule) -> int:
    """Neighbours to look at: ceil(neighbours e (1 + 1/n) ln q), at least 1."""
    size, count = tree.points.shape[1], tree.numbers[COUNT]
    many = math.ceil(rule.neighbours * math.e * (1 + 1 / size) * math.log(count + 1))
    return max(1, min(many, tree.near.shape[0]))


def cheapest(world: World, tree: Tree, state: Floats, found: int) -> int:
    """Place in `near` of the vertex over which a state is reached at least cost by an allowed motion.

    Motions are checked in the order of the cost that they would have, so most are never checked.

    Args:
        world: the problem.
        tree: the tree; `near` and `gap` hold the neighbours, `pending` a 0 for each.
        state: the state.
        found: how many neighbours there are.

    Returns:
        The place; -1 where no motion is allowed.
    """
    tried = 0
    while tried < found:
        least, place = math.inf, -1
        for number in range(found):
            total = tree.cost[tree.near[number]] + tree.gap[number]
            if tree.pending[number] == 0 and total < least:
                least, place = total, number
        tree.pending[place] = 1
        tried += 1
        if motion_free(world, tree.points[tree.near[place]], state):
            return place
    return -1


def reach_goal(world: World, rule: Rule, tree: Tree, vertex: int) -> None:
    """Connect a vertex to the goal where that is near, allowed and better than what is known.

    Args:
        world: the problem.
        rule: the planner's settings.
        tree: the tree; it is changed.
        vertex: a vertex of the tree.
    """
    away = distance(tree.points[vertex], world.goal)
    cost = tree.cost[vertex] + away
    goal = tree.numbers[GOAL]
    if away < _SAME and goal < 0:
        tree.numbers[GOAL] = vertex
    elif away > rule.steer or cost >= best_cost(tree) - _SAME or vertex == goal:
        return
    elif motion_free(world, tree.points[vertex], world.goal):
        if goal < 0:
            tree.numbers[GOAL] = add(tree, world.goal, vertex, cost)
        else:
            move(tree, goal, vertex, cost)


def extend(world: World, rule: Rule, tree: Tree, state: Floats) -> int:
    """Grow the tree towards a state.

    Args:
        world: the problem.
        rule: the planner's settings.
        tree: the tree; it is changed.
        state: where to; moved to where the tree was grown to.

    Returns:
        The new vertex; -1 where there is none.
    """
    found = nearest(tree, state, wanted(tree, rule))
    closest, away = tree.near[0], tree.gap[0]
    if away < _SAME:
        return -1
    if away > rule.steer:
        state[:] = tree.points[closest] + (state - tree.points[closest]) * (rule.steer / away)
    bound = distance(world.start, state) + distance(state, world.goal)
    if (rule.informed and bound >= best_cost(tree)) or not free(world, state):
        return -1
    if away > rule.steer:
        if not motion_free(world, tree.points[closest], state):
            return -1
        found = nearest(tree, state, wanted(tree, rule))
    tree.pending[:found] = 0
    place = cheapest(world, tree, state, found)
    if place < 0:
        return -1
    vertex = add(tree, state, tree.near[place], tree.cost[tree.near[place]] + tree.gap[place])
    for number in range(found):
        other = tree.near[number]
        cost = tree.cost[vertex] + tree.gap[number]
        if cost < tree.cost[other] - _SAME and motion_free(world, state, tree.points[other]):
            move(tree, other, vertex, cost)
    reach_goal(world, rule, tree, vertex)
    return vertex


def grow(world: World, rule: Rule, tree: Tree, draws: Floats, bias: Floats) -> None:
    """One iteration per row of draws; a row that gives no state is an attempt that counts as well.

    Args:
        world: the problem.
        rule: the planner's settings.
        tree: the tree; it is changed.
        draws: one row per iteration, as `sample` reads it.
        bias: one uniform per iteration: below the goal bias the goal itself is tried, until it is reached.
    """
    state = np.empty(tree.points.shape[1])
    for row in range(draws.shape[0]):
        tree.numbers[ITERATIONS] += 1
        if bias[row] < rule.goal_bias and tree.numbers[GOAL] < 0:
            state[:] = world.goal
            extend(world, rule, tree, state)
        elif sample(world, rule, draws[row], best_cost(tree), state):
            extend(world, rule, tree, state)


def prune(world: World, tree: Tree, kept: Ints) -> int:
    """Remove every vertex that cannot lie on a better path and has none below it that can; return how many are left.

    `kept` is room for a row number per vertex.
    """
    best, count, size = best_cost(tree), tree.numbers[COUNT], 0
    kept[:count] = 0
    for vertex in range(count):
        bound = distance(world.start, tree.points[vertex]) + distance(tree.points[vertex], world.goal)
        if bound <= best or vertex == 0 or vertex == tree.numbers[GOAL]:
            above = vertex
            while above >= 0 and kept[above] == 0:
                kept[above] = 1
                above = tree.parent[above]
    for vertex in range(count):
        if kept[vertex] == 1:
            kept[vertex] = size
            tree.points[size], tree.cost[size] = tree.points[vertex], tree.cost[vertex]
            tree.parent[size] = tree.parent[vertex]
            tree.first[size] = -1
            size += 1
        else:
            kept[vertex] = -1
    tree.numbers[COUNT], tree.numbers[GOAL] = size, kept[tree.numbers[GOAL]]
    for vertex in range(size):
        insert(tree, vertex)
        if vertex > 0:
            attach(tree, vertex, int(kept[tree.parent[vertex]]), tree.cost[vertex])
    return size
