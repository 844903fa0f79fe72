"""What is in the way: plain functions on arrays, compiled with the planner's inner loop."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class World(NamedTuple):
    """A planning problem as arrays."""

    low: Floats
    high: Floats
    start: Floats
    goal: Floats
    turn: Floats
    """Rotation of the spheroid, n x n."""
    volume: float
    """Of the bounds."""
    boxes_low: Floats
    boxes_high: Floats
    """Boxes that no state may be in, m x n."""
    links: Floats
    """Lengths of an arm's links; empty where the state is a point."""
    discs: Floats
    """Discs that no link may touch: x, y, radius."""
    spacing: float
    """Largest distance, in length units of states, between two states of an arm's motion that are looked at."""


def distance(one: Floats, other: Floats) -> float:
    """Euclidean distance."""
    total = 0.0
    for axis in range(one.shape[0]):
        total += (one[axis] - other[axis]) ** 2
    return math.sqrt(total)


def segment_hits_box(one: Floats, other: Floats, low: Floats, high: Floats) -> bool:
    """Whether a straight segment meets a box, exactly: the slabs of all axes overlap.

    Args:
        one: a state.
        other: another.
        low: lower corner of the box.
        high: upper corner; the faces belong to the box.

    Returns:
        Whether they meet.
    """
    begin, end = 0.0, 1.0
    for axis in range(one.shape[0]):
        step = other[axis] - one[axis]
        if abs(step) < 1e-15:
            if one[axis] < low[axis] or one[axis] > high[axis]:
                return False
        else:
            enter, leave = (low[axis] - one[axis]) / step, (high[axis] - one[axis]) / step
            if enter > leave:
                enter, leave = leave, enter
            begin, end = max(begin, enter), min(end, leave)
            if begin > end:
                return False
    return True


def inside(world: World, state: Floats) -> bool:
    """Whether a state is within the bounds."""
    outside = 0
    for axis in range(state.shape[0]):
        outside += state[axis] < world.low[axis] or state[axis] > world.high[axis]
    return outside == 0


def arm_hits(world: World, state: Floats) -> bool:
    """Whether a link of a planar arm with these joint angles touches a disc."""
    x, y, angle = 0.0, 0.0, 0.0
    for link in range(world.links.shape[0]):
        angle += state[link]
        dx, dy = world.links[link] * math.cos(angle), world.links[link] * math.sin(angle)
        for disc in range(world.discs.shape[0]):
            along = (world.discs[disc, 0] - x) * dx + (world.discs[disc, 1] - y) * dy
            part = min(1.0, max(0.0, along / (dx * dx + dy * dy)))
            away_x, away_y = x + part * dx - world.discs[disc, 0], y + part * dy - world.discs[disc, 1]
            if away_x * away_x + away_y * away_y <= world.discs[disc, 2] ** 2:
                return True
        x, y = x + dx, y + dy
    return False


def free(world: World, state: Floats) -> bool:
    """Whether a state is allowed."""
    if not inside(world, state):
        return False
    for box in range(world.boxes_low.shape[0]):
        if segment_hits_box(state, state, world.boxes_low[box], world.boxes_high[box]):
            return False
    return not (world.links.shape[0] > 0 and arm_hits(world, state))


def motion_free(world: World, one: Floats, other: Floats) -> bool:
    """Whether a straight motion between two allowed states is allowed; an arm's by states at most `spacing` apart."""
    for box in range(world.boxes_low.shape[0]):
        if segment_hits_box(one, other, world.boxes_low[box], world.boxes_high[box]):
            return False
    if world.links.shape[0] > 0:
        steps = math.ceil(distance(one, other) / world.spacing)
        stride = 1
        while stride < steps:  # the middle first, then the quarters: what is blocked shows early
            stride *= 2
        while stride > 1:
            half = stride // 2
            for number in range(half, steps, stride):
                if arm_hits(world, one + (other - one) * (number / steps)):
                    return False
            stride = half
        return not arm_hits(world, other)
    return True
