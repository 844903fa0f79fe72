"""A perceptron as a function, and Adam: against torch's own."""

import torch

from milepost.rewards.bonus import perceptron
from milepost.rewards.bonus.perceptron import Learnt


def module(held):
    layers = []
    for layer in range(len(held) // 2):
        linear = torch.nn.Linear(*reversed(held[f"weight{layer}"].shape))
        with torch.no_grad():
            linear.weight.copy_(held[f"weight{layer}"])
            linear.bias.copy_(held[f"bias{layer}"])
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def test_it_is_torchs_and_so_is_its_adam():
    learnt = Learnt.fresh(perceptron.weights((3, 5, 4, 2), 1))
    other = module(learnt.weights)
    optimiser = torch.optim.Adam(other.parameters(), lr=0.01)
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        held = {name: value.detach().requires_grad_() for name, value in learnt.weights.items()}
        torch.testing.assert_close(perceptron.outputs(held, rows), other(rows))
        loss = perceptron.outputs(held, rows).square().sum()
        slopes = dict(zip(held, torch.autograd.grad(loss, list(held.values())), strict=True))
        learnt = perceptron.step(learnt, slopes, rate=0.01)
        optimiser.zero_grad()
        other(rows).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(learnt.weights["weight1"], other[2].weight.detach())
    assert float(learnt.steps) == 5


def test_weights_come_from_the_key():
    one, same, other = (perceptron.weights((4, 8, 2), key) for key in (1, 1, 2))
    assert torch.equal(one["weight0"], same["weight0"])
    assert not torch.equal(one["weight0"], other["weight0"])
    assert float(one["bias0"].abs().max()) == 0
