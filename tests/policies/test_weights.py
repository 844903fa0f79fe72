"""Weights that are trained: those alone are named, loaded whole, and refused where names differ."""

import pytest
import torch

from milepost.errors import ResumeError
from milepost.policies import weights


@pytest.fixture
def module():
    made = torch.nn.Linear(2, 1)
    made.bias.requires_grad_(False)
    return made


def test_only_what_receives_gradients_is_named(module):
    assert list(weights.trainable(module)) == ["weight"]
    assert weights.trainable(module)["weight"] is module.weight


def test_loading_changes_the_values_in_place(module):
    before = module.weight
    weights.restore(module, {"weight": torch.tensor([[3.0, 4.0]])})
    assert module.weight is before
    assert before.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("names", [(), ("weight", "bias"), ("bias",)])
def test_other_names_are_refused_and_nothing_is_loaded(module, names):
    before = module.weight.tolist()
    with pytest.raises(ResumeError, match="do not fit the model"):
        weights.restore(module, {name: torch.zeros(1, 2) for name in names})
    assert module.weight.tolist() == before
