"""The penalty on the exact divergence: its value, whose gradient it is, and what it needs."""

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import Against, ExactKL, TowardsSampler
from milepost.objectives.kl import KLPenalty


def steps(advantage=(0.0, 0.0)):
    return Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -2.0], "advantage": [None, *advantage]})


def against(divergence):
    log_prob = torch.tensor([0.0, -1.0, -2.0], requires_grad=True)
    return Against(log_prob=log_prob, divergence=torch.tensor(divergence, requires_grad=True))


def test_hand_example():
    """Two steps of two trajectories at 0.2 and 0.6 nats, coefficient 0.5: the mean 0.4, halved; not the root."""
    found = ExactKL(objective=Clipped(), coefficient=0.5).compared(steps(), against([9.0, 0.2, 0.6]))
    assert float(found.loss.detach()) == pytest.approx(0.2)
    assert found.metrics["objective/kl"] == pytest.approx(0.4)
    assert found.metrics["objective/loss"] == pytest.approx(0.2)


def test_the_gradient_is_that_of_the_two_terms():
    given = against([0.0, 0.2, 0.6])
    ExactKL(objective=Clipped(), coefficient=0.5).compared(steps((1.0, -1.0)), given).loss.backward()
    assert given.divergence.grad.tolist() == pytest.approx([0, 0.25, 0.25])
    assert given.log_prob.grad.tolist() == pytest.approx([0, -0.5, 0.5])


def test_without_weight_it_is_the_objective():
    forest, given = steps((1.0, -0.5)), against([0.0, 5.0, 7.0])
    bare = Clipped()(forest, given.log_prob).loss
    assert float(ExactKL(objective=Clipped(), coefficient=0.0).compared(forest, given).loss.detach()) == pytest.approx(
        float(bare)
    )


def test_from_log_probabilities_alone_it_is_estimated():
    now, then = torch.tensor([0.0, -1.2, -1.5]), torch.tensor([0.0, -1.0, -1.9])
    estimate = KLPenalty(objective=Clipped(), coefficient=0.5)(steps(), now, then)
    assert ExactKL(objective=Clipped(), coefficient=0.5)(steps(), now, then) == estimate
    drawn = torch.tensor([0.0, -1.0, -2.0])  # what the batch stores
    estimate = KLPenalty(objective=Clipped(), coefficient=0.5)(steps(), now, drawn)
    found = TowardsSampler(objective=Clipped(), coefficient=0.5)(steps(), now)
    assert float(found.loss) == pytest.approx(float(estimate.loss))
    with pytest.raises(SettingError):
        ExactKL(objective=Clipped(), coefficient=-1.0)


def test_towards_the_sampler_is_the_same_sum_without_a_reference():
    part, given = TowardsSampler(objective=Clipped(), coefficient=0.5), against([9.0, 0.2, 0.6])
    other = ExactKL(objective=Clipped(), coefficient=0.5).compared(steps((1.0, -1.0)), given)
    found = part.compared(steps((1.0, -1.0)), given)
    assert float(found.loss.detach()) == float(other.loss.detach())
    assert not part.needs_reference
    with pytest.raises(SettingError):
        TowardsSampler(objective=Clipped(), coefficient=-1.0)
