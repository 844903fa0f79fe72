"""The network of an actor: weights from a key, inputs of known scale."""

import numpy as np
import torch

from milepost.policies.actor.network import LARGEST, ActorNetwork


def test_first_weights_come_from_the_key_and_are_orthogonal():
    one, same, other = (ActorNetwork((4, 2, 1), width=8, key=key) for key in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.actor[0].weight, other.actor[0].weight)
    torch.testing.assert_close(one.actor[2].weight @ one.actor[2].weight.T, 2 * torch.eye(8), atol=1e-5, rtol=0)


def test_the_first_policy_is_nearly_uniform_and_values_are_near_0():
    network = ActorNetwork((4, 3, 2), width=64, key=1)
    network.requires_grad_(requires_grad=False)
    seen = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    assert float(network.act(seen).abs().max()) < 0.1
    assert float(network.appraise(seen).abs().max()) < 1


def test_inputs_are_scaled_once_and_cut():
    network = ActorNetwork((2, 1, 1), width=4, key=1)
    rows = np.array([[10.0, 3.0], [30.0, 3.0]], dtype=np.float32)
    network.scaled_by(rows)
    assert network.centre.tolist() == [20.0, 3.0]
    assert network.spread.tolist() == [10.0, 1.0], "what does not change is not stretched"
    assert network._scaled(torch.tensor([[30.0, 3.5], [1e6, 3.0]])).tolist() == [[1.0, 0.5], [LARGEST, 0.0]]


def test_without_a_critic():
    network = ActorNetwork((2, 1, 0), width=4, key=1)
    assert network.appraise(torch.zeros(3, 2)).shape == (3, 0)
