"""Euphonium on the digits: what credit does and does not distil, and what distillation does."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from milepost import keys
from milepost.engines import local
from milepost.engines.settings import RunSettings, TaskSettings, UpdateSettings
from milepost.engines.update import Updater, optimiser_for
from milepost.environments.denoising import Denoising
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.exact_kl import TowardsSampler
from milepost.policies.flow import digits, kernel
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.guidance import Langevin, Tilted
from milepost.policies.flow.noise import EvenNoise, Grid
from milepost.policies.flow.process import Process
from milepost.recipes import euphonium
from milepost.rewards import combine
from milepost.rewards.images.noisy import NoisyClass
from milepost.rewards.images.reward import ImageScore
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe

KEY, WORLD = keys.root(15), Denoising(train_size=10)


def grown(policy, *, width, key=KEY):
    draws = [Draw(task=task) for task in WORLD.train()]
    return grow(draws, policy=policy, environment=WORLD, sampler=Independent(width=width), key=key, workers=1)


def scored(forest, job):
    return combine.Scored(rewards=job.rewards, weights=job.weights)(forest, torch.arange(len(forest)))


class Constant(nn.Module):
    """One number for a velocity, in one dimension."""

    shape = (1,)

    def __init__(self):
        super().__init__()
        self.velocity = nn.Parameter(torch.tensor(0.3))

    def forward(self, latent, time, condition):
        return self.velocity.expand_as(latent)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """The image itself, a number."""

    range, differentiable = (-100.0, 100.0), False

    def __call__(self, image, label):
        return image.squeeze(1)


def pushed(push, *, images, credited=True):
    """Gradient of credit times log-probability in the velocity, after a step guided by a constant slope; the forest."""
    guide = Langevin(value=lambda x, t, c: push * x.sum(1), density="bare") if push else None
    process = Process(grid=Grid(steps=2), noise=EvenNoise(level=0.5))
    policy = Denoiser(network=Constant(), process=process, guide=guide)
    draws = [Draw(task=WORLD.train()[0])]
    forest = grow(draws, policy=policy, environment=WORLD, sampler=Independent(width=images), key=KEY)
    score = combine.Scored(rewards=(ImageScore(scorer=Size(), name="size"),), weights=(1.0,))
    forest = euphonium.build().credit(score(forest, torch.arange(len(forest))))
    rows = (forest["stochastic"] & forest.valid("stochastic")).nonzero().squeeze(1)
    now = policy.log_prob(forest, rows)
    torch.testing.assert_close(now.detach(), forest["log_prob"][rows].float(), atol=1e-5, rtol=1e-5)
    weight = forest["advantage"][rows].float() if credited else torch.ones(len(rows))
    (weight * now).mean().backward()
    return float(policy.network.velocity.grad), forest


@pytest.mark.statistical
def test_zero_sum(record_property):
    """A guidance that shifts a whole group moves nothing: the gradient is that without it, and E is -D / sd(x).

    One step of one dimension, 4000 images of one class. The images are shifted, log-probabilities are of the bare
    kernel, and credit sums to 0 over the group; with a constant in place of credit the shift does count.
    """
    bare, _ = pushed(0.0, images=4000)
    guided, forest = pushed(4.0, images=4000)
    shift = forest["shift"][forest["stochastic"] & forest.valid("stochastic")]
    record_property("gradient", (bare, guided))
    assert shift.flatten().tolist() == pytest.approx([0.25] * 4000)  # std^2 / (2 beta) of the slope 4
    assert guided == pytest.approx(bare, abs=1e-4)
    spread = (0.9375**2 + 0.125) ** 0.5  # of x = 0.9375 noise + std eps, std^2 = 0.125
    assert bare == pytest.approx(-0.5 / spread, abs=5 * 1.42 / 4000**0.5)
    moved = pushed(4.0, images=400, credited=False)[0] - pushed(0.0, images=400, credited=False)[0]
    assert moved == pytest.approx(-0.5 * 0.25 / 0.125, rel=1e-3)


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
