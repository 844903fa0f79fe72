"""Truncated importance weights: hand examples, limits, and the bias that truncation buys its variance with."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.objectives.weights import Weighted, truncated_weight


def test_hand_example():
    log_r = torch.tensor([0.5, 1.0, 3.0]).log()
    assert_close(truncated_weight(log_r, cap=2.0), torch.tensor([0.5, 1.0, 2.0]))
    assert_close(truncated_weight(torch.tensor([900.0]), cap=2.0), torch.tensor([2.0]))


def test_no_gradient_flows_through_the_weight(flat):
    """The loss is linear in log pi once the weights are fixed; a gradient through them would be another method's."""
    at = flat.now.clone().requires_grad_()
    found = Weighted(cap=1.1)(flat.forest, at)
    (gradient,) = torch.autograd.grad(found.loss, at)
    mask = flat.forest["tokens.train"]
    weight = (flat.now - flat.forest["tokens.log_prob"].double()).exp().clamp(max=1.1)
    expected = torch.where(mask, -weight * flat.forest["advantage"].double()[flat.forest.token_row] / mask.sum(), 0)
    assert_close(gradient, expected, rtol=1e-12, atol=1e-14)
    assert found.metrics["objective/truncated"] == pytest.approx(float((weight[mask] == 1.1).double().mean()))
    assert found.metrics["objective/weight_mean"] == pytest.approx(float(weight[mask].mean()))


@pytest.mark.statistical
def test_untruncated_weights_are_unbiased_and_truncated_ones_are_small():
    """Mean of a function under the trainer, estimated from the sampler's draws."""
    count = 200_000
    trainer, sampler = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    value = torch.tensor([1.0, 2.0, 5.0]).double()
    draw = torch.bucketize(torch.from_numpy(keys.uniform([23], count)[0]), sampler.cumsum(0)[:-1])
    log_r = (trainer.log() - sampler.log())[draw]
    whole = truncated_weight(log_r, cap=100.0) * value[draw]
    assert abs(whole.mean() - trainer @ value) < 5 * whole.std() / math.sqrt(count)
    capped = truncated_weight(log_r, cap=2.0) * value[draw]
    expected = (torch.minimum(trainer / sampler, torch.tensor(2.0)) * sampler) @ value
    assert abs(capped.mean() - expected) < 5 * capped.std() / math.sqrt(count)
    assert capped.std() < whole.std()
