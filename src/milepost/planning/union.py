"""Sampling the union of several spheroids uniformly: several starts or goals.

Source: Gammell, Barfoot and Srinivasa 2018, "Informed sampling for asymptotically optimal path planning", section V.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.errors import ShapeError
from milepost.planning.spheroid import focal_sum, from_ball, volume


def containing(
    points: Float[Tensor, "k n"], starts: Float[Tensor, "m n"], goals: Float[Tensor, "m n"], cost: float
) -> Int[Tensor, " k"]:
    """Number of spheroids that contain each point.

    Args:
        points: any points.
        starts: first foci, one per spheroid.
        goals: second foci.
        cost: length of the best known path, the same for all.

    Returns:
        One count per point.
    """
    sums = torch.stack([focal_sum(points, start, goal) for start, goal in zip(starts, goals, strict=True)])
    return (sums <= cost * (1 + 1e-12)).sum(dim=0)


def useful(starts: Float[Tensor, "m n"], goals: Float[Tensor, "m n"], cost: float) -> Bool[Tensor, " m"]:
    """Which pairs could still hold a shorter path: their distance is below the cost. One is always left.

    Args:
        starts: first foci.
        goals: second foci.
        cost: length of the best known path.

    Returns:
        One flag per pair; the nearest pair's is always true.
    """
    least = (goals - starts).norm(dim=1)
    kept = least < cost
    kept[least.argmin()] = True
    return kept


def chosen(
    starts: Float[Tensor, "m n"], goals: Float[Tensor, "m n"], cost: float, uniform: Float[Tensor, " k"]
) -> Int[Tensor, " k"]:
    """A spheroid per draw, with probability proportional to its volume.

    Args:
        starts: first foci, each pair nearer than the cost.
        goals: second foci.
        cost: length of the best known path.
        uniform: one number in [0, 1) per draw.

    Returns:
        Positions of the spheroids.
    """
    least = (goals - starts).norm(dim=1)
    sizes = torch.tensor([volume(cost, float(one), starts.shape[1]) for one in least], dtype=torch.float64)
    edges = sizes.cumsum(0) / sizes.sum()
    return torch.searchsorted(edges, uniform.double().contiguous(), right=True).clamp(max=len(starts) - 1)


def sample(
    ball: Float[Tensor, "k n"],
    starts: Float[Tensor, "m n"],
    goals: Float[Tensor, "m n"],
    cost: float,
    uniform: Float[Tensor, "k 2"],
) -> Float[Tensor, "j n"]:
    """Draw uniformly from the union of spheroids; a draw in K of them is kept with probability 1 / K.

        P(spheroid i) = volume_i / sum volume,   P(keep x) = 1 / K(x),   K(x) = #{i : f_i(x) <= c}

    Args:
        ball: points uniform in the unit ball, one per draw.
        starts: first foci, each pair nearer than the cost.
        goals: second foci.
        cost: length of the best known path.
        uniform: two numbers in [0, 1) per draw: which spheroid, and whether it is kept.

    Returns:
        The draws that were kept, in order.

    Raises:
        ShapeError: draws and uniforms of different number.
    """
    if len(ball) != len(uniform):
        raise ShapeError(f"{len(ball)} draws came with uniforms of {tuple(uniform.shape)}: give two numbers per draw.")
    which = chosen(starts, goals, cost, uniform[:, 0])
    points = torch.empty_like(ball)
    for place in range(len(starts)):
        own = which == place
        points[own] = from_ball(ball[own], starts[place], goals[place], cost)
    count = containing(points, starts, goals, cost).clamp(min=1)
    return points[uniform[:, 1] * count < 1]
