"""The spheroid: every sample is inside, uniform, and the theory's numbers come out to three digits."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from milepost import keys
from milepost.errors import SettingError, ShapeError
from milepost.planning import spheroid

KEY = keys.fold(keys.root(7), "spheroid")
DIMENSIONS = (2, 3, 8, 16)


def ball(count, dimension, key=KEY):
    stream = keys.generator(keys.fold(key, dimension))
    return spheroid.unit_ball(
        torch.from_numpy(stream.standard_normal((count, dimension))), torch.from_numpy(stream.random(count))
    )


def foci(dimension, distance=None):
    stream = keys.generator(keys.fold(KEY, "foci", dimension))
    start, goal = torch.from_numpy(stream.standard_normal((2, dimension)))
    if distance is not None:
        goal = start + (goal - start) / (goal - start).norm() * distance
    return start, goal


def test_hand_example_in_the_plane():
    start, goal = torch.tensor([0.0, 0.0]).double(), torch.tensor([0.0, 4.0]).double()
    corners = spheroid.from_ball(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).double(), start, goal, 5.0)
    assert torch.allclose(corners[0], torch.tensor([0.0, 4.5]).double())  # the far end of the long axis
    assert torch.allclose(corners[1].abs(), torch.tensor([1.5, 2.0]).double())  # 3-4-5 triangle
    assert torch.allclose(corners[2], torch.tensor([0.0, 2.0]).double())
    assert spheroid.volume(5.0, 4.0, 2) == pytest.approx(math.pi * 2.5 * 1.5)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_sample_is_inside(dimension):
    start, goal = foci(dimension)
    for factor in (1 + 1e-9, 1.001, 1.5, 10.0):
        cost = float((goal - start).norm()) * factor
        points = spheroid.from_ball(ball(5000, dimension), start, goal, cost)
        assert float(spheroid.focal_sum(points, start, goal).max()) <= cost + 1e-9


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.statistical
def test_the_inverse_gives_a_uniform_ball(dimension):
    start, goal = foci(dimension)
    cost = float((goal - start).norm()) * 1.3
    points = spheroid.from_ball(ball(20_000, dimension), start, goal, cost)
    back = spheroid.to_ball(points, start, goal, cost)
    assert torch.allclose(back, ball(20_000, dimension), atol=1e-9)
    assert stats.kstest((back.norm(dim=1) ** dimension).numpy(), "uniform").pvalue > 0.01
    positive = (back > 0).double().mean(dim=0)
    assert float((positive - 0.5).abs().max()) < 5 * 0.5 / math.sqrt(20_000)


@pytest.mark.parametrize("dimension", [2, 4, 8, 16])
@pytest.mark.statistical
def test_mean_focal_sum_is_the_theory(dimension):
    start, goal = foci(dimension, distance=1.0)
    sums = spheroid.focal_sum(spheroid.from_ball(ball(200_000, dimension), start, goal, 1.5), start, goal)
    expected = spheroid.expected_cost(1.5, 1.0, dimension)
    assert abs(float(sums.mean()) - expected) < 5 * float(sums.std()) / math.sqrt(len(sums))
    assert abs(float(sums.mean()) - expected) < 1e-3  # to three digits


@pytest.mark.parametrize("dimension", [2, 3, 6, 8])
@pytest.mark.statistical
def test_the_convergence_rate_is_the_theory_to_three_digits(dimension):
    """One informed sample each from many costs just above the optimum: the excess shrinks by (n - 1) / (n + 1)."""
    start, goal = foci(dimension, distance=1.0)
    excess = 1e-6
    sums = spheroid.focal_sum(spheroid.from_ball(ball(1_000_000, dimension), start, goal, 1 + excess), start, goal)
    rate = float(((sums - 1) / excess).mean())
    assert abs(rate - spheroid.convergence_rate(dimension)) < 2e-3
    assert rate == pytest.approx(spheroid.convergence_rate(dimension), abs=5 * 0.35 / 1000)


def test_the_rate_is_the_derivative_of_the_expectation():
    for dimension in range(1, 12):
        step = 1e-6
        slope = (spheroid.expected_cost(1 + step, 1.0, dimension) - 1) / step
        assert slope == pytest.approx(spheroid.convergence_rate(dimension), abs=1e-5)


def test_the_excess_of_many_informed_samples_falls_geometrically():
    """Without obstacles and with every improvement taken, the logarithm of the excess falls by a line."""
    dimension, runs = 2, 4000
    start, goal = foci(dimension, distance=1.0)
    costs = torch.full((runs,), 1.0 + 1e-3).double()
    for number in range(5):
        points = ball(runs, dimension, key=keys.fold(KEY, "step", number))
        axes = torch.stack((costs / 2, (costs * costs - 1).sqrt() / 2), dim=1)
        moved = (points * axes) @ spheroid.rotation(start, goal).T + (start + goal) / 2
        costs = spheroid.focal_sum(moved, start, goal).clamp(min=1)
    shrunk = ((costs - 1) / 1e-3).mean() ** (1 / 5)
    assert float(shrunk) == pytest.approx(spheroid.convergence_rate(dimension), abs=0.03)


@pytest.mark.parametrize(("dimension", "expected"), [(2, 0.329), (4, 0.0404), (8, 2.0e-4), (16, 4.4e-10)])
def test_rejection_from_a_cube(dimension, expected):
    """Why to sample directly: in a cube of side 2 hardly any sample falls into the spheroid."""
    rate = spheroid.rejection_rate(1.5, 1.0, dimension, 2.0**dimension)
    assert rate == pytest.approx(expected, rel=0.02)
    if dimension <= 8:
        count = 400_000
        cube = torch.from_numpy(keys.generator(keys.fold(KEY, "cube", dimension)).uniform(-1, 1, (count, dimension)))
        start, goal = torch.zeros(2, dimension).double()
        start[0], goal[0] = -0.5, 0.5
        inside = (spheroid.focal_sum(cube, start, goal) <= 1.5).double().mean()
        assert abs(float(inside) - rate) < 5 * math.sqrt(rate / count) + 1e-12


@pytest.mark.parametrize("dimension", [1, *DIMENSIONS])
def test_rotation(dimension):
    start, goal = foci(dimension)
    turn = spheroid.rotation(start, goal)
    direction = (goal - start) / (goal - start).norm()
    assert torch.allclose(
        turn[:, 0].abs() if dimension == 1 else turn[:, 0], direction.abs() if dimension == 1 else direction
    )
    assert torch.allclose(turn @ turn.T, torch.eye(dimension).double())
    assert float(torch.linalg.det(turn)) == pytest.approx(1.0) or dimension == 1
    assert torch.equal(spheroid.rotation(start, start), torch.eye(dimension).double())


def test_volume_by_its_limits():
    assert spheroid.volume(2.0, 0.0, 3) == pytest.approx(4 / 3 * math.pi)
    assert spheroid.volume(1.0, 1.0, 4) == 0.0
    assert spheroid.volume(1.5, 1.0, 1) == pytest.approx(1.5)
    values = [spheroid.volume(cost, 1.0, 5) for cost in np.linspace(1, 3, 20)]
    assert values == sorted(values)


def test_expected_cost_by_its_limits():
    assert spheroid.expected_cost(1.0, 1.0, 7) == pytest.approx(1.0)
    assert spheroid.expected_cost(3.0, 0.0, 2) == pytest.approx(2.0)  # mean distance in a disc, twice
    assert spheroid.expected_cost(1.5, 1.0, 10**4) == pytest.approx(1.5, abs=1e-4)


def test_what_is_refused():
    start, goal = foci(3, distance=1.0)
    with pytest.raises(SettingError, match="at least"):
        spheroid.volume(0.5, 1.0, 2)
    with pytest.raises(SettingError, match="segment"):
        spheroid.to_ball(torch.zeros(1, 3).double(), start, goal, 0.5)
    with pytest.raises(ShapeError):
        spheroid.from_ball(torch.zeros(1, 2).double(), start, goal, 2.0)
    for dimension in (0, -1):
        with pytest.raises(SettingError):
            spheroid.convergence_rate(dimension)
    assert spheroid.unit_ball(torch.zeros(1, 3).double(), torch.ones(1).double()).tolist() == [[0.0, 0.0, 0.0]]
