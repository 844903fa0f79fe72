"""The numbers that explain a loss."""

from __future__ import annotations

import math

import pytest
import torch

from milepost import keys
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.describe import describe
from milepost.objectives.trained import trained


def test_hand_example():
    forest = Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -2.0], "advantage": [None, 1.0, -1.0]})
    now = torch.tensor([7.0, -1.5, -1.0])
    found = describe(torch.tensor(0.5), trained(forest, now), now, {"half": torch.tensor([9.0, 1.0, 0.0])})
    r = [math.exp(-0.5), math.exp(1.0)]
    assert found == pytest.approx(
        {
            "objective/loss": 0.5,
            "objective/trained_units": 2.0,
            "objective/entropy": 1.25,
            "objective/ratio_mean": sum(r) / 2,
            "objective/behaviour_kl": (r[0] - 1 + 0.5 + r[1] - 1 - 1.0) / 2,
            "objective/half": 0.5,
        }
    )


@pytest.mark.statistical
def test_entropy_and_behaviour_kl_are_estimates_of_the_true_ones():
    count = 100_000
    sampler, policy = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.4, 0.4, 0.2]).double()
    draw = torch.bucketize(torch.from_numpy(keys.uniform([31], count)[0]), sampler.cumsum(0)[:-1])
    parent = torch.cat((torch.tensor([-1]), torch.zeros(count, dtype=torch.int64)))
    columns = {
        "log_prob": torch.cat((torch.zeros(1), sampler.log()[draw].float())),
        "advantage": torch.zeros(count + 1),
    }
    forest = Forest.of(parent, columns).with_valid("log_prob", parent >= 0)
    zero = torch.zeros(1).double()
    stored = Clipped()(forest, torch.cat((zero, sampler.log()[draw])))
    spread = sampler.log()[draw].std() / math.sqrt(count)
    assert abs(stored.metrics["objective/entropy"] + float(sampler @ sampler.log())) < 5 * spread
    assert abs(stored.metrics["objective/behaviour_kl"]) < 1e-9
    moved = Clipped()(forest, torch.cat((zero, policy.log()[draw])))
    r = (policy / sampler)[draw]
    spread = (r - 1 - r.log()).std() / math.sqrt(count)
    assert abs(moved.metrics["objective/behaviour_kl"] - float(sampler @ (sampler / policy).log())) < 5 * spread


def test_every_metric_is_a_finite_number(flat):
    found = Clipped()(flat.forest, flat.now).metrics
    assert all(name.startswith("objective/") and math.isfinite(value) for name, value in found.items())
