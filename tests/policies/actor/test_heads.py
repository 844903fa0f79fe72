"""Distributions over actions: densities that sum to 1, entropies that are means of surprise, draws from keys."""

import math

import pytest
import torch

from milepost import keys
from milepost.errors import ShapeError
from milepost.policies.actor.heads import Beta, Gaussian, Numbered

OUTPUT = torch.tensor([[0.3, -0.7, 1.1]])
MANY = keys.children([5] * 20_000, "draw", range(20_000)).tolist()
BOXES = {"gaussian": Gaussian(low=(-1.0,), high=(3.0,)), "beta": Beta(low=(-1.0,), high=(3.0,))}


def test_numbered_by_hand():
    head, output = Numbered(count=2), torch.tensor([[0.0, math.log(3.0)]])
    assert head.log_prob(output, torch.tensor([1])).exp().item() == pytest.approx(0.75)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert head.entropy(output).item() == pytest.approx(entropy)
    assert head.likeliest(output).item() == 1


@pytest.mark.statistical
def test_numbered_draws_have_their_probabilities():
    """Each frequency within 5 standard errors of its probability (false alarms: 2e-6)."""
    head = Numbered(count=3)
    drawn = head.draw(OUTPUT.expand(len(MANY), 3), MANY)
    wanted = OUTPUT.softmax(1)[0]
    found = torch.bincount(drawn, minlength=3) / len(MANY)
    assert bool(((found - wanted).abs() < 5 * (wanted * (1 - wanted) / len(MANY)).sqrt()).all())


@pytest.mark.parametrize("kind", BOXES)
def test_densities_integrate_to_1_and_give_the_entropy(kind):
    head, output = BOXES[kind], torch.tensor([[0.2, -0.9]]) if kind == "gaussian" else torch.tensor([[0.2, 1.5]])
    low, high = (-25.0, 25.0) if kind == "gaussian" else (-1.0, 3.0)
    grid = torch.linspace(low, high, 200_001)[:, None]
    log = head.log_prob(output.expand(len(grid), 2), grid).double()
    width = (high - low) / 200_000
    assert float(log.exp().sum() * width) == pytest.approx(1, abs=2e-4)
    assert float(-(log.exp() * log).sum() * width) == pytest.approx(head.entropy(output).item(), abs=2e-3)


@pytest.mark.statistical
@pytest.mark.parametrize("kind", BOXES)
def test_draws_have_the_mean_and_the_surprise_of_the_density(kind):
    """Within 5 standard errors (false alarms: 6e-7 each)."""
    head, output = BOXES[kind], torch.tensor([[0.2, -0.9]])
    every = output.expand(len(MANY), 2)
    drawn = head.draw(every, MANY)
    apart = drawn.mean() - head.likeliest(output).mean()
    assert abs(float(apart)) < 5 * float(drawn.std()) / len(MANY) ** 0.5
    surprise = -head.log_prob(every, drawn)
    assert abs(float(surprise.mean() - head.entropy(output))) < 5 * float(surprise.std()) / len(MANY) ** 0.5


def test_a_draw_depends_on_its_own_key_only():
    for head in (Numbered(count=2), *BOXES.values()):
        output = torch.tensor([[0.3, -0.2], [0.1, 0.4]])
        both = head.draw(output, [7, 8])
        assert torch.equal(both[1:], head.draw(output[1:], [8]))
        assert head.outputs == 2


def test_limits():
    assert Beta(low=(0.0,), high=(1.0,)).entropy(torch.tensor([[-40.0, -40.0]])).item() == pytest.approx(0, abs=1e-5)
    assert Numbered(count=5).entropy(torch.zeros(1, 5)).item() == pytest.approx(math.log(5))
    with pytest.raises(ShapeError, match="each smaller"):
        Gaussian(low=(1.0,), high=(0.0,))
