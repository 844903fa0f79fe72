"""Euphonium on the digits: what credit does and does not distil, and what distillation does."""

import dataclasses
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.engines import local
from milepost.engines.settings import RunSettings, TaskSettings, UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.denoising import Denoising
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import TowardsSampler
from milepost.policies.flow import digits, kernel
from milepost.policies.flow.guidance import Langevin, Tilted
from milepost.recipes import euphonium
from milepost.rewards import combine
from milepost.rewards.images.noisy import NoisyClass
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe

KEY, WORLD = keys.root(15), Denoising(train_size=10)


def grown(policy, *, width, key=KEY):
    draws = [Draw(task=task) for task in WORLD.train()]
    return grow(draws, policy=policy, environment=WORLD, sampler=Independent(width=width), key=key, workers=1)


def scored(forest, job):
    return combine.Scored(rewards=job.rewards, weights=job.weights)(forest, torch.arange(len(forest)))


@pytest.mark.statistical
def test_zero_sum():
    """E[A grad log p] / grad mean is Cov(A, delta + std eps) / std^2: a shift common to a group moves nothing.

    One step of one dimension, groups of 8, reward 2 x: with the shift and without it the same, to 5 standard errors.
    """
    groups, size, std, found = 20_000, 8, 0.5, []
    for delta in (0.0, 0.7):
        noise = torch.from_numpy(keys.normal([3], (groups, size))[0])
        drawn = delta + std * noise  # the bare mean is 0
        reward = 2 * drawn
        credit = reward - reward.mean(1, keepdim=True)
        found.append((credit * drawn / std**2).mean(1))  # grad of the bare log-probability in its mean
    gap = found[1] - found[0]
    assert abs(float(gap.mean())) < 5 * float(gap.std()) / groups**0.5 + 1e-9
    assert float(found[0].mean()) == pytest.approx(2 * (1 - 1 / size), rel=0.02)


@pytest.mark.slow
@pytest.mark.statistical
def test_distilled(record_property):
    """Fitted to one guided batch, the bare sampler keeps two thirds of the rise in reward, and asks for none."""
    job = euphonium.build()
    teacher = dataclasses.replace(digits.load("digits-flow", process=job.process), guide=job.guide)
    student = digits.load("digits-flow", process=job.process)
    forest = grown(teacher, width=40).with_columns({"advantage": torch.zeros(40 * 11 * 10 + 10)})
    settings = UpdateSettings(learning_rate=2e-3, minibatches=10)
    objective = TowardsSampler(objective=Clipped(), coefficient=1.0)
    updater = Updater(
        policy=student,
        objective=objective,
        optimiser=optimiser_for(student, settings),
        settings=settings,
        reference=None,
    )
    for epoch in range(20):
        updater(forest, keys.fold(KEY, epoch))
    fresh, found = keys.fold(KEY, "fresh"), {}
    untrained = digits.load("digits-flow", process=job.process)
    for name, policy in (("bare", untrained), ("guided", teacher), ("distilled", student)):
        held = scored(grown(policy, width=24, key=fresh), job)
        found[name] = float(held["reward.class"][held.leaves()].mean())
        if name != "guided":
            assert float(held["cost.reward_calls"].where(held.valid("cost.reward_calls"), 0).sum()) == 240 * 12
    record_property("mean reward", found)
    assert found["distilled"] - found["bare"] > 2 / 3 * (found["guided"] - found["bare"])


def test_the_process_reward_before_a_step_knows_nothing_of_it():
    """Siblings of one parent have the same reward when it is read before: their credit is 0 whatever they did."""
    job = euphonium.build(taken="before", width=2)
    policy = digits.load("digits-flow", process=job.process)
    forest = scored(grown(policy, width=2), job)
    value = NoisyClass()
    rows = (forest.valid("reward.process") & forest["ok.process"]).nonzero().flatten()
    left = forest.parent[rows]
    label = forest["observation"][forest.root_of()[rows]]
    truth = value(forest["latent"][left], forest["time"][left], label)
    torch.testing.assert_close(forest["reward.process"][rows], truth)


def test_settings_choose_guide_and_losses():
    job = euphonium.build(exact=True, beta=1.0, distil=0.0, process=0.0)
    assert job.guide == Tilted(value=NoisyClass(), beta=1.0)
    assert job.objective.second_weight == 0
    assert euphonium.build().guide == Langevin(value=NoisyClass(), beta=0.5)
    assert euphonium.build().objective.coefficient == 10
    assert not euphonium.build().objective.needs_reference


def test_a_run_counts_gradients_and_measures_beside_success(tmp_path):
    """Two updates: 9 of 10 steps are guided, 11 latents and the image are scored, for each of 3 x 4 images."""
    chosen = RunSettings(
        recipe="euphonium",
        settings={"width": 4},
        tasks=TaskSettings(names=("digits",), train=3, held_out=3),
        update=UpdateSettings(steps=2, tasks_per_step=3, learning_rate=3e-4),
    )
    found = local.run(chosen, tmp_path / "run", on_event=lambda event: None)
    assert found.cost["reward_calls"] == 2 * 3 * 4 * (9 + 11 + 1)
    assert found.cost["model_calls"] == 2 * 3 * 4 * 10
    assert set(found.last.measures) == {"diversity", "data_gap"}


def test_the_divergence_is_of_velocities(tmp_path):
    """KL = (D / (2 s^2)) (1 + s^2 (1 - t) / (2 t))^2 |v - v*|^2 with v* of the specification's match to the sampler."""
    job = euphonium.build()
    policy = dataclasses.replace(digits.load("digits-flow", process=job.process), guide=job.guide)
    forest = grown(policy, width=1)
    rows = forest.valid("log_prob").nonzero().flatten()[:8]
    before = forest.parent[rows]
    t, after, std = forest["time"][before], forest["time"][rows], forest["std"][rows]
    square = std.square() / (t - after)
    rise = forest["shift"][rows] / kernel.across(std.square() / (2 * 0.5), forest["shift"][rows])
    moved = kernel.across(square / (2 * 0.5) / (1 + square * (1 - t) / (2 * t)), rise) * rise  # v_old - v*
    factor = (t - after) / (2 * square) * (1 + square * (1 - t) / (2 * t)).square()
    found = policy.against(forest, rows, None).divergence
    torch.testing.assert_close(found, factor * moved.square().flatten(1).sum(1) / 64, rtol=1e-3, atol=1e-6)


def test_the_recipe_keeps_the_common_promises():
    check_recipe("euphonium", tests=Path(__file__).parents[1])
