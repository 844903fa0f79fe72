"""Several goals: the union is sampled uniformly with the 1 / K rule, and not without it."""

import pytest
import torch
from scipy import stats

from milepost import keys
from milepost.errors import ShapeError
from milepost.planning import union
from milepost.planning.spheroid import unit_ball

KEY = keys.fold(keys.root(3), "union")
STARTS = torch.tensor([[0.0, 0.0], [0.0, 0.0]]).double()
GOALS = torch.tensor([[1.0, 0.0], [0.8, 0.6]]).double()
COST = 1.6


def draws(count):
    stream = keys.generator(KEY)
    ball = unit_ball(torch.from_numpy(stream.standard_normal((count, 2))), torch.from_numpy(stream.random(count)))
    return ball, torch.from_numpy(stream.random((count, 2)))


def p_of_uniformity(points):
    """Chi-square over the cells of a grid that lie wholly inside the union."""
    edges = torch.linspace(-0.6, 1.6, 23).double()
    corners = torch.cartesian_prod(edges, edges)
    inside = (union.containing(corners, STARTS, GOALS, COST) > 0).reshape(23, 23)
    whole = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
    found, _ = torch.histogramdd(points, [edges, edges])
    counts = found[whole]
    return stats.chisquare(counts.numpy()).pvalue


@pytest.mark.statistical
def test_uniform_with_the_rule_and_not_without():
    ball, uniform = draws(60_000)
    assert p_of_uniformity(union.sample(ball, STARTS, GOALS, COST, uniform)) > 0.01
    without = uniform.clone()
    without[:, 1] = 0.0  # every draw is kept
    assert p_of_uniformity(union.sample(ball, STARTS, GOALS, COST, without)) < 0.01


def test_spheroids_are_chosen_by_volume():
    goals = torch.tensor([[1.0, 0.0], [1.59, 0.0]]).double()
    _, uniform = draws(20_000)
    share = float((union.chosen(STARTS, goals, COST, uniform[:, 0]) == 0).double().mean())
    sizes = [union.volume(COST, least, 2) for least in (1.0, 1.59)]
    assert abs(share - sizes[0] / sum(sizes)) < 5 * (0.25 / 20_000) ** 0.5


def test_one_spheroid_keeps_every_draw():
    ball, uniform = draws(100)
    assert len(union.sample(ball, STARTS[:1], GOALS[:1], COST, uniform)) == 100


def test_pairs_that_cannot_help_are_dropped():
    goals = torch.tensor([[1.0, 0.0], [3.0, 0.0]]).double()
    assert union.useful(STARTS, goals, 2.0).tolist() == [True, False]
    assert union.useful(STARTS, goals, 0.5).tolist() == [True, False]


def test_numbers_must_fit():
    ball, uniform = draws(10)
    with pytest.raises(ShapeError, match="two numbers per draw"):
        union.sample(ball, STARTS, GOALS, COST, uniform[:5])
