"""The prolate hyperspheroid: all states through which a path shorter than the best known one could pass.

With foci x_s and x_g, c_min = |x_g - x_s| and a path of length c it is {x : |x - x_s| + |x - x_g| <= c}: its transverse
diameter is c, the other n - 1 diameters are sqrt(c^2 - c_min^2).

Source: Gammell, Srinivasa and Barfoot 2014, "Informed RRT*", section IV.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError, ShapeError

NARROWEST = 1e-9
"""Distance of the foci below which they count as one point."""


def focal_sum(
    points: Float[Tensor, "k n"], start: Float[Tensor, " n"], goal: Float[Tensor, " n"]
) -> Float[Tensor, " k"]:
    """Length of the shortest path from start to goal through each point, if nothing were in the way.

        f(x) = |x - x_s| + |x - x_g|

    Args:
        points: states.
        start: first focus.
        goal: second focus.

    Returns:
        One length per point, at least |x_g - x_s|.

    Source: as the module, section III.
    """
    return (points - start).norm(dim=1) + (points - goal).norm(dim=1)


def rotation(start: Float[Tensor, " n"], goal: Float[Tensor, " n"]) -> Float[Tensor, "n n"]:
    """A rotation that sends the first axis to the direction from start to goal.

        C = U diag(1, ..., 1, det U det V) V^T,  with  U S V^T = a_1 e_1^T,  a_1 = (x_g - x_s) / c_min

    Args:
        start: first focus.
        goal: second focus.

    Returns:
        An orthogonal matrix with determinant 1; the identity where the foci are one point.

    Source: as the module, eq. 4 (a solution of Wahba's problem).
    """
    size = len(start)
    least = (goal - start).norm()
    if float(least) < NARROWEST:
        return torch.eye(size, dtype=start.dtype)
    first = torch.eye(size, dtype=start.dtype)[0]
    left, _, right = torch.linalg.svd(torch.outer((goal - start) / least, first))
    last = torch.ones(size, dtype=start.dtype)
    last[-1] = torch.linalg.det(left) * torch.linalg.det(right)
    return left @ torch.diag(last) @ right


def semi_axes(cost: float, least: float, dimension: int) -> Float[Tensor, " n"]:
    """Half diameters of the spheroid.

        (c / 2, r, ..., r)  with  r = sqrt(c^2 - c_min^2) / 2

    Args:
        cost: c, length of the best known path.
        least: c_min, distance of the foci, in [0, cost].
        dimension: n, at least 1.

    Returns:
        n lengths, float64.

    Raises:
        SettingError: a cost below the distance of the foci, or a dimension below 1.

    Source: as the module, section IV.
    """
    checks.at_least("dimension", dimension, 1)
    checks.non_negative("least", least)
    if not (math.isfinite(cost) and cost >= least):
        raise SettingError(
            f"cost={cost!r} is not allowed: expected a finite length of at least {least} (the distance)."
        )
    narrow = math.sqrt(max(0.0, cost * cost - least * least)) / 2
    return torch.tensor([cost / 2, *[narrow] * (dimension - 1)], dtype=torch.float64)


def volume(cost: float, least: float, dimension: int) -> float:
    """Volume of the spheroid.

        pi^(n/2) c (c^2 - c_min^2)^((n-1)/2) / (2^n Gamma(n/2 + 1))

    Args:
        cost: c, length of the best known path.
        least: c_min, distance of the foci.
        dimension: n.

    Returns:
        A volume in length units to the power n; 0 where c is c_min and n is above 1.

    Raises:
        SettingError: a cost below the distance of the foci.

    Source: as the module, section IV-B.

    Example:
        >>> round(volume(2.0, 0.0, 2), 6)  # the unit disc
        3.141593
    """
    return float(semi_axes(cost, least, dimension).prod()) * math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)


def unit_ball(normal: Float[Tensor, "k n"], uniform: Float[Tensor, " k"]) -> Float[Tensor, "k n"]:
    """Points uniform in the unit ball, from normals and uniforms.

        b = u^(1/n) g / |g|

    Args:
        normal: g, standard normal.
        uniform: u, uniform in [0, 1).

    Returns:
        One point per row; the centre where a normal is 0.

    Source: Muller 1959.
    """
    length = normal.norm(dim=1, keepdim=True).clamp(min=torch.finfo(normal.dtype).tiny)
    return uniform[:, None] ** (1 / normal.shape[1]) * normal / length


def from_ball(
    ball: Float[Tensor, "k n"], start: Float[Tensor, " n"], goal: Float[Tensor, " n"], cost: float
) -> Float[Tensor, "k n"]:
    """Move points of the unit ball into the spheroid; uniform points stay uniform.

        x = C L b + (x_s + x_g) / 2,   L = diag(c/2, r, ..., r)

    Args:
        ball: points of the unit ball.
        start: first focus.
        goal: second focus.
        cost: c, at least the distance of the foci.

    Returns:
        Points with focal sum at most c.

    Raises:
        ShapeError: points and foci of different dimension.
        SettingError: a cost below the distance of the foci.

    Source: as the module, eq. 3.
    """
    if ball.shape[1:] != start.shape or start.shape != goal.shape:
        raise ShapeError(f"Points of {tuple(ball.shape)} do not fit foci of {tuple(start.shape)}, {tuple(goal.shape)}.")
    axes = semi_axes(cost, float((goal - start).norm()), len(start)).to(ball.dtype)
    return (ball * axes) @ rotation(start, goal).T + (start + goal) / 2


def to_ball(
    points: Float[Tensor, "k n"], start: Float[Tensor, " n"], goal: Float[Tensor, " n"], cost: float
) -> Float[Tensor, "k n"]:
    """Move points of the spheroid into the unit ball: the inverse of `from_ball`.

        b = L^-1 C^T (x - (x_s + x_g) / 2)

    Args:
        points: any points; those of the spheroid come to length at most 1.
        start: first focus.
        goal: second focus.
        cost: c, above the distance of the foci.

    Returns:
        One point per row.

    Raises:
        SettingError: a cost that is not above the distance of the foci.

    Source: as the module, eq. 3.
    """
    least = float((goal - start).norm())
    if not cost > least:
        raise SettingError(f"cost={cost!r} leaves no room above the distance {least}: the spheroid is a segment.")
    return ((points - (start + goal) / 2) @ rotation(start, goal)) / semi_axes(cost, least, len(start)).to(points.dtype)


def expected_cost(cost: float, least: float, dimension: int) -> float:
    """Mean focal sum of a point drawn uniformly from the spheroid: the expected length after one informed sample.

        E[c'] = (n c^2 + c_min^2) / ((n + 1) c)

    Args:
        cost: c, above 0.
        least: c_min, in [0, cost].
        dimension: n.

    Returns:
        A length in [c_min, c].

    Raises:
        SettingError: lengths out of range.

    Source: as the module, section V (without obstacles, with every vertex rewired).
    """
    semi_axes(cost, least, dimension)
    checks.positive("cost", cost)
    return (dimension * cost * cost + least * least) / ((dimension + 1) * cost)


def convergence_rate(dimension: int) -> float:
    """Factor by which the distance to the optimum shrinks per informed sample, near the optimum.

        mu = (n - 1) / (n + 1) = d E[c'] / d c at c = c_min

    Args:
        dimension: n.

    Returns:
        A factor in [0, 1).

    Source: as the module, eq. 10.
    """
    checks.at_least("dimension", dimension, 1)
    return (dimension - 1) / (dimension + 1)


def rejection_rate(cost: float, least: float, dimension: int, box_volume: float) -> float:
    """Probability that a uniform sample of a box that holds the spheroid lies in it.

        p = volume(spheroid) / volume(box)

    Args:
        cost: c, length of the best known path.
        least: c_min, distance of the foci.
        dimension: n.
        box_volume: above 0.

    Returns:
        The probability; above 1 where the box cannot hold the spheroid.

    Raises:
        SettingError: numbers out of range.

    Source: as the module, eq. 2.
    """
    checks.positive("box_volume", box_volume)
    return volume(cost, least, dimension) / box_volume
