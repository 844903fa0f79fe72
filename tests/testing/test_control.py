"""A few updates on the pole: deterministic, and a control recipe that learns nothing is named."""

from dataclasses import replace

import pytest
import torch

from milepost.objectives.actor_critic import ActorCritic
from milepost.recipes import rdd
from milepost.testing.control import balance


@pytest.mark.parametrize("bonus", ["rdd", "none"])
def test_two_runs_are_equal_and_weights_change(bonus):
    job = rdd.build(bonus=bonus)
    one, two = balance(job, steps=2), balance(job, steps=2)
    assert one.losses == two.losses
    assert all(torch.equal(a, b) for a, b in zip(one.weights, two.weights, strict=True))
    assert not torch.equal(one.weights[0], balance(job, steps=1).weights[0])
    assert ("reward.bonus" in one.last) == (bonus == "rdd")


def test_an_objective_without_a_critic_is_trained_too():
    job = rdd.build(bonus="none")
    plain = replace(job, objective=ActorCritic(value_weight=0.0).objective)
    assert len(balance(plain, steps=1).losses) == 1
