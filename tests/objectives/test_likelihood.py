"""The plain weighted log-likelihood."""

from __future__ import annotations

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.likelihood import Likelihood
from milepost.testing import check_part
from milepost.testing.parts import scored_batch


def test_contract():
    check_part(Likelihood())
    check_part(Likelihood(scale=0.5))


def test_hand_example():
    forest = Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -1.0], "advantage": [None, 2.0, -1.0]})
    log_prob = torch.tensor([0.0, -0.5, -2.0], requires_grad=True)
    loss = Likelihood(scale=0.5)(forest, log_prob).loss
    assert float(loss.detach()) == pytest.approx(-0.5 * (2 * -0.5 + 1 * 2.0) / 2)
    (slope,) = torch.autograd.grad(loss, log_prob)
    assert slope.tolist() == pytest.approx([0.0, -0.5, 0.25])


def test_its_gradient_at_the_sampling_policy_is_that_of_the_surrogate():
    forest = scored_batch(("total",))
    slopes = []
    for part in (Likelihood(), Clipped()):
        log_prob = forest["tokens.log_prob"].double().clone().requires_grad_()
        slopes.append(torch.autograd.grad(part(forest, log_prob).loss, log_prob)[0])
    assert torch.allclose(*slopes, atol=1e-7)


def test_who_sampled_does_not_matter():
    forest = scored_batch(("total",))
    log_prob = forest["tokens.log_prob"].double()
    other = forest.with_columns({"tokens.log_prob": forest["tokens.log_prob"] - 3})
    other = other.with_valid("tokens.log_prob", forest.valid("tokens.log_prob"))
    assert torch.equal(Likelihood()(forest, log_prob).loss, Likelihood()(other, log_prob).loss)


def test_settings():
    with pytest.raises(SettingError):
        Likelihood(scale=0.0)
