"""What must hold of TRL for milepost's subclass: these tests fail when TRL changes beneath it."""

from __future__ import annotations

import inspect

import pytest
import torch
from transformers import Trainer
from trl import GRPOTrainer as Theirs

from milepost.engines.trl.trainer import Credited
from tests.engines.trl.quick_start import WIDTH, odd, trained

pytestmark = pytest.mark.trainers

SIGNATURES = {
    "_get_train_sampler": ["self", "dataset"],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_methods_that_are_extended(name):
    assert list(inspect.signature(getattr(Theirs, name)).parameters) == SIGNATURES[name]


def test_nothing_is_overridden_without_calling_trl():
    own = [name for name in vars(Credited) if inspect.isfunction(vars(Credited)[name]) and hasattr(Theirs, name)]
    assert sorted(own) == sorted([*SIGNATURES, "__init__"])
    for name in own:
        assert f"super()).{name}(" in inspect.getsource(vars(Credited)[name])


def test_random_state_can_be_put_back():
    assert list(inspect.signature(Trainer._load_rng_state).parameters) == ["self", "checkpoint"]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return trained(Theirs, tmp_path_factory.mktemp("stock"), settings={"max_steps": 1})


def test_output_of_a_generation(stock):
    output = stock.outputs[0]
    wanted = {"prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "num_items_in_batch"}
    assert wanted <= set(output)
    assert output["advantages"].shape == (2 * WIDTH,)
    assert output["num_items_in_batch"] == output["completion_mask"].sum()
    assert output["prompt_ids"].shape[0] == output["completion_ids"].shape[0] == len(stock.inputs[0])


def test_what_the_trainer_is_asked_for(stock):
    assert stock.reward_func_names == ["odd"]
    assert stock.reward_funcs == [odd]
    assert stock.reward_weights.tolist() == [1.0]
    assert stock.num_generations == WIDTH
    assert stock.num_iterations == stock.args.steps_per_generation == 1
    assert stock.args.generation_batch_size == 2 * WIDTH
    assert set(stock.eos_token_ids)
    assert stock._tokenizer.pad_token_id is not None


def test_credit_of_tokens_reaches_the_loss(stock):
    inputs = {name: value for name, value in stock.outputs[0].items() if name != "advantages"}
    stock.model.train()
    losses = []
    for scale in (1.0, 2.0):
        credit = torch.zeros_like(inputs["completion_mask"], dtype=torch.float32)
        credit[0, 0] = scale
        losses.append(stock._compute_loss(stock.model, {**inputs, "advantages": credit}).item())
    assert losses[0] == pytest.approx(-1 / float(inputs["num_items_in_batch"]), rel=1e-4)
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-4)


def test_tool_mask_takes_tokens_out_of_the_loss(stock):
    inputs = dict(stock.outputs[0])
    mask = inputs["completion_mask"]
    inputs["advantages"] = torch.ones_like(mask, dtype=torch.float32)
    whole = stock._compute_loss(stock.model, inputs).item()
    half = torch.ones_like(mask)
    half[::2] = 0
    part = stock._compute_loss(stock.model, {**inputs, "tool_mask": half}).item()
    share = float((mask * half).sum() / mask.sum())
    assert part == pytest.approx(whole * share, rel=1e-4)
