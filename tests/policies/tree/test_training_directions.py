"""Gradient directions are what automatic differentiation says, for every token and on trees."""

from __future__ import annotations

import pytest
import torch

from milepost import keys
from milepost.columns import Role
from milepost.policies import loading
from milepost.policies.causal_lm import CausalLM
from milepost.policies.decoding import Decoding
from tests.policies.conftest import draw_weights, small_model
from tests.policies.tree.branches import KEY, SHAPES, forest_of


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_identity_of_a_linear_head(temperature: float) -> None:
    """phi / T is the gradient of log p by h, for random W, h and b."""
    weight, bias, hidden = (
        torch.from_numpy(keys.normal([keys.fold(KEY, name)], shape)[0])
        for name, shape in (("W", (30, 8)), ("b", (30,)), ("h", (5, 8)))
    )
    hidden.requires_grad_()
    token = torch.tensor([0, 7, 29, 3, 3])
    log_p = ((hidden @ weight.T + bias) / temperature).log_softmax(-1)
    (slope,) = torch.autograd.grad(log_p.gather(1, token[:, None]).sum(), hidden)
    phi = weight[token] - log_p.exp() @ weight
    torch.testing.assert_close(phi / temperature, slope, rtol=1e-6, atol=1e-9)


def slopes_of(model, forest, row: int, temperature: float) -> torch.Tensor:
    """Sum over the policy's tokens of a row of T d log p / d h, by automatic differentiation through the whole path."""
    tokens, own = forest.ragged("tokens.id"), len(forest.ragged("tokens.id")[row])
    path = torch.cat([tokens[one] for one in forest.path(row).tolist()]).long()
    hidden = model.model(input_ids=path.unsqueeze(0), use_cache=False).last_hidden_state[0, -own - 1 : -1].detach()
    hidden.requires_grad_()
    log_p = (model.lm_head(hidden) / temperature).log_softmax(-1).gather(1, path[-own:].unsqueeze(1)).squeeze(1)
    chosen = forest.ragged("tokens.role")[row] == int(Role.POLICY)
    (slope,) = torch.autograd.grad(log_p.where(chosen, 0).sum(), hidden)
    return temperature * slope.sum(0)


@pytest.mark.parametrize("name", ["random", "embedded"])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_directions_are_gradients_by_the_last_hidden_state(name: str, temperature: float) -> None:
    embedded = loading.load("embedded", decoding=Decoding())
    model = embedded.model if name == "embedded" else draw_weights(small_model(), 0.15)
    policy = CausalLM(model=model, tokenizer=embedded.tokenizer, decoding=Decoding(temperature=temperature))
    forest = forest_of(*SHAPES["ragged"], observed=1)
    found = policy.directions(forest, torch.arange(len(forest)))
    assert bool((found[0] == 0).all())  # a prompt is nobody's choice
    for row in range(1, len(forest)):
        if len(forest.ragged("tokens.id")[row]):
            exact = slopes_of(model, forest, row, temperature)
            torch.testing.assert_close(found[row], exact, rtol=1e-4, atol=2e-5)


def test_models_that_cannot_share_have_the_same_directions() -> None:
    tokenizer = loading.load("embedded", decoding=Decoding()).tokenizer
    model = draw_weights(small_model("Mistral", sliding_window=4), 0.15)
    policy = CausalLM(model=model, tokenizer=tokenizer)
    forest = forest_of(*SHAPES["forest"])
    found = policy.directions(forest, torch.arange(len(forest)))
    torch.testing.assert_close(found[5], slopes_of(model, forest, 5, 1.0), rtol=1e-4, atol=1e-5)
