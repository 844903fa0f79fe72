"""Flow-GRPO on the digits: the reward rises, and so does what a classifier that no training sees thinks of it."""

import json
from pathlib import Path

import pytest
import torch

from milepost import keys, recipe
from milepost.engines import local
from milepost.engines.settings import PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.denoising import Denoising
from milepost.forest import Forest
from milepost.policies.flow import digits, kernel
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Window
from milepost.recipes import flow_grpo
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe


def settings(**changes):
    fixed = {
        "recipe": "flow-grpo",
        "tasks": TaskSettings(names=("digits",), train=10, held_out=40),
        "update": UpdateSettings(steps=25, tasks_per_step=10, learning_rate=3e-4),
    }
    return RunSettings(**{**fixed, **changes})


def grown(policy):
    """Three images of class 0."""
    world = Denoising()
    draws = [Draw(task=world.train()[0])]
    return grow(draws, policy=policy, environment=world, sampler=Independent(width=3), key=keys.root(2))


@pytest.mark.slow
@pytest.mark.statistical
def test_learns_digits(tmp_path, record_property):
    """Success by the judging classifier rises by 10 points and more, its 95% interval over 40 tasks above 0."""
    found = local.run(settings(), tmp_path / "run", on_event=lambda event: None)
    record_property("success", (found.first.success, found.last.success, found.gain_low))
    record_property("rewards", (dict(found.first.rewards), dict(found.last.rewards)))
    assert found.gain > 0.08
    assert found.gain_low > 0
    record_property("measures", (dict(found.first.measures), dict(found.last.measures)))
    assert found.last.rewards["class"] > found.first.rewards["class"]
    assert found.last.measures["data_gap"] > found.first.measures["data_gap"]
    assert found.last.measures["diversity"] < found.first.measures["diversity"]
    assert found.cost["model_calls"] == 25 * 10 * 24 * 10


def test_a_diffusion_model_is_trained_by_the_same_recipe(tmp_path):
    """The DDPM of the digits with its own noise level, a few steps, to the byte the same twice."""
    chosen = settings(
        settings={"constant": 1.0, "width": 4, "denoising_steps": 6},
        policy=PolicySettings(model="digits-ddpm"),
        tasks=TaskSettings(names=("digits",), train=3, held_out=2),
        update=UpdateSettings(steps=2, tasks_per_step=3, learning_rate=3e-4),
    )
    runs = [local.run(chosen, tmp_path / name, on_event=lambda event: None) for name in ("first", "second")]
    assert runs[0].last == runs[1].last
    weights = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_heavy_penalty_keeps_the_weights(tmp_path):
    """kl = 10,000 against none, six updates each: the divergence from the first policy is a twentieth and less."""
    found = {}
    for name, kl in (("heavy", 1e4), ("light", 1e-9)):
        chosen = settings(
            settings={"kl": kl, "width": 8},
            tasks=TaskSettings(names=("digits",), train=10, held_out=10),
            update=UpdateSettings(steps=6, tasks_per_step=10, learning_rate=3e-4),
        )
        local.run(chosen, tmp_path / name, on_event=lambda event: None)
        lines = (tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found[name] = [json.loads(line)["objective/kl"] for line in lines]
    assert found["heavy"][0] == pytest.approx(0, abs=1e-9)
    assert found["heavy"][-1] < found["light"][-1] / 20


def test_settings_choose_the_noise():
    assert flow_grpo.build().process.noise == FlowNoise(scale=0.7)
    assert flow_grpo.build(constant=0.3).process.noise == EvenNoise(level=0.3)
    assert flow_grpo.build(window=4).process.noise == Window(inner=FlowNoise(scale=0.7), size=4)
    assert flow_grpo.build(kl=0.04).objective.needs_reference


def test_a_window_trains_its_own_steps_and_the_others_are_those_of_the_ode():
    """MixGRPO: noise, density and gradient in two of six steps, one on after 25 updates; elsewhere Euler's step."""
    policy = digits.load("digits-flow", process=flow_grpo.build(window=2, denoising_steps=6).process)
    for version, places in ((0, [0, 1]), (24, [0, 1]), (25, [1, 2]), (75, [3, 4]), (100, [0, 1])):
        policy.version = version
        forest = grown(policy)
        path = forest.path(int(forest.leaves()[0]))[2:]
        assert forest["stochastic"][path].nonzero().flatten().tolist() == places
        assert forest.valid("log_prob")[path].nonzero().flatten().tolist() == places
        still = path[~forest["stochastic"][path]]
        above = forest.parent[still]
        output = policy.network(forest["latent"][above], forest["time"][above], torch.zeros_like(above))
        length = kernel.across(forest["time"][above] - forest["time"][still], output)
        torch.testing.assert_close(forest["latent"][still], (forest["latent"][above] - output * length).detach())
        assert not policy.log_prob(forest, still).requires_grad  # no gradient passes through them


def test_a_constant_reward_moves_no_weight():
    """All credit is exactly 0, so the first update leaves every weight where it was."""
    job = flow_grpo.build(denoising_steps=4)
    policy = digits.load("digits-flow", process=job.process)
    before = {name: value.detach().clone() for name, value in policy.trainable().items()}
    forest = grown(policy)
    leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
    forest = forest.with_columns({"reward.total": leaf * -3.7, "ok.total": leaf}).with_valid("reward.total", leaf)
    chosen = UpdateSettings(learning_rate=1e-2)
    optimiser = optimiser_for(policy, chosen)
    updater = Updater(policy=policy, objective=job.objective, optimiser=optimiser, settings=chosen, reference=None)
    updater(job.credit(forest), keys.root(0))
    assert all(torch.equal(value, before[name]) for name, value in policy.trainable().items())


def test_credit_is_the_same_at_every_step_of_an_image():
    """Two images of a class, two steps each: the group is the images, and each step has the credit of its image."""
    scores = {"reward.total": [None, None, None, 1.0, 0.0], "ok.total": [False, False, False, True, True]}
    forest = flow_grpo.build().credit(Forest.of([-1, 0, 0, 1, 2], scores))
    up = 0.5 / (0.5 + 1e-4)
    assert forest["advantage"][1:].tolist() == pytest.approx([up, -up, up, -up])


def test_the_recipe_keeps_the_common_promises():
    check_recipe("flow-grpo", tests=Path(__file__).parents[1])


def test_the_card_is_of_the_flow_domain():
    assert recipe.card("flow-grpo").domains == ("flow",)
