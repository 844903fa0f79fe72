"""A fresh actor knows the scale of what it will see, and nothing else."""

import torch

from milepost.environments.control.gym import Gymnasium
from milepost.policies.actor import loading
from milepost.policies.actor.heads import Beta, Gaussian, Numbered


def test_heads_fit_the_actions():
    assert loading.load(Gymnasium(name="CartPole-v1"), key=1).head == Numbered(count=2)
    world = Gymnasium(name="Pendulum-v1")
    assert loading.load(world, key=1).head == Gaussian(low=(-2.0,), high=(2.0,))
    assert loading.load(world, law="beta", key=1).head == Beta(low=(-2.0,), high=(2.0,))


def test_the_same_key_gives_the_same_actor():
    world = Gymnasium(name="CartPole-v1")
    one, same, other = (loading.load(world, streams=2, key=key).network.state_dict() for key in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert torch.equal(one["spread"], other["spread"]), "the scale is the environment's"
    assert not torch.equal(one["actor.0.weight"], other["actor.0.weight"])
    assert float(one["spread"].max()) < 2
