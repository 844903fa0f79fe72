"""DenseGRPO on the digits: what a step gains, next to the truth, to Flow-GRPO, and to its own cost."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost import keys
from milepost.credit.group import Normalised
from milepost.engines import local
from milepost.engines.settings import RunSettings, TaskSettings, UpdateSettings
from milepost.environments.denoising import Denoising
from milepost.policies.flow import digits, kernel, noise
from milepost.recipes import densegrpo
from milepost.rewards import combine
from milepost.rewards.images.scorers import ClassLogProb
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent
from milepost.testing.recipes import check_recipe

KEY, STEPS = keys.root(6), 10
WORLD = Denoising(train_size=10)


def scored(levels, sampler, *, tasks=10, key=KEY):
    """A batch of the digits model with gains and total."""
    job = densegrpo.build(denoising_steps=STEPS, levels=levels)
    policy = digits.load("digits-flow", process=job.process)
    draws = [Draw(task=task) for task in WORLD.train()[:tasks]]
    forest = grow(draws, policy=policy, environment=WORLD, sampler=sampler, key=key)
    return combine.Scored(rewards=job.rewards, weights=job.weights)(forest, torch.arange(len(forest))), policy, job


def base_levels():
    return noise.FlowNoise()(noise.Grid(steps=STEPS)(), 0)


def test_with_noise_at_one_step_it_is_flow_grpo_there():
    """One first noise, eight ways to take the first step, no noise after: the same group, the same credit."""
    levels = (float(base_levels()[0]), *[0.0] * (STEPS - 1))
    forest, _, job = scored(levels, Tree(widths=(1, 8)), tasks=1)
    first = (forest["time"] - 0.9).abs() < 1e-6
    rows = (first & forest.valid("time")).nonzero().flatten()
    assert len(rows) == 8
    final = torch.stack([forest["reward.class"][leaf] for leaf in forest.leaves()])
    leaf_of = {int(forest.path(int(leaf))[2]): place for place, leaf in enumerate(forest.leaves().tolist())}
    final = final[[leaf_of[row] for row in rows.tolist()]]
    wanted = (final - final.mean()) / (final.std(correction=0) + 1e-4)
    assert float(final.std()) > 1e-2
    torch.testing.assert_close(job.credit(forest)["advantage"][rows].float(), wanted.float(), atol=1e-3, rtol=1e-3)


def value(policy, latent, time, label, key, draws=48):
    """Mean score of `draws` stochastic continuations of each latent."""
    grid, levels = policy.process.grid(), policy.process.levels(0)
    x, label = latent.repeat_interleave(draws, 0), label.repeat_interleave(draws)
    stream = keys.generator(key)
    for place in range(STEPS):
        if float(grid[place]) > time + 1e-6:
            continue
        now, after = grid[place].expand(len(x)), grid[place + 1].expand(len(x))
        std = policy.kernel.std(now, after, levels[place].expand(len(x)))
        mean = policy.kernel.mean(x, policy.network(x, now, label), now, after, std)
        x = kernel.sample(mean, std, torch.from_numpy(stream.standard_normal(x.shape)).float())
    return ClassLogProb()(x, label).view(-1, draws).mean(1)


@pytest.mark.slow
@pytest.mark.statistical
@torch.no_grad()
def test_gains_follow_the_true_advantage(record_property):
    """Correlation with Q - V, by 48 continuations on either side of a step: gain against final score."""
    forest, policy, _ = scored((), Independent(width=12))
    ends = forest.paths()
    dense, final = [], []
    for place in (1, 3, 5, 7):  # steps from times 0.9, 0.7, 0.5, 0.3
        rows = torch.tensor([int(ends[leaf][place + 2]) for leaf in range(len(ends))])
        before, label = forest.parent[rows], forest["observation"][forest.root_of()[rows]]
        now, after = float(forest["time"][before][0]), float(forest["time"][rows][0])
        truth = value(policy, forest["latent"][rows], after, label, KEY + place)
        truth = truth - value(policy, forest["latent"][before], now, label, KEY + place + 50)
        last = torch.tensor([int(ends[leaf][-1]) for leaf in range(len(ends))])
        for kept, column in ((dense, forest["reward.gain"][rows]), (final, forest["reward.class"][last])):
            kept.append(float(torch.corrcoef(torch.stack((truth, column)))[0, 1]))
    record_property("correlation", {"gain": dense, "final score": final})
    assert sum(dense) / 4 > 0.4
    assert sum(dense) > 1.5 * sum(final)


@pytest.mark.statistical
def test_calibration_balances_gains_and_losses(record_property):
    """On known gains, p(gain > 0) = 0.75 - level / 2: from above, a level falls to the balance at 0.5 and stays.

    Below the balance gains are in excess, and the paper's rule lowers the level there too, down to the bound.
    """
    stream, level = keys.generator(KEY), torch.tensor([0.1, 0.3, 0.9])
    for _ in range(120):
        chance = 0.75 - level / 2
        drawn = torch.from_numpy(stream.random((3, 4096))).float()
        level = noise.rebalanced(level, (drawn < chance[:, None]).float() * 2 - 1, tolerance=200, highest=torch.ones(3))
    record_property("levels", level.tolist())
    assert float(level[2]) == pytest.approx(0.5, abs=0.1)
    assert level[:2].tolist() == pytest.approx([0.05, 0.05])


def test_a_round_of_calibration_by_hand():
    level, gain = torch.tensor([0.5, 0.5, 0.06]), torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, -1.0, -1.0]])
    found = noise.rebalanced(level, gain, tolerance=2, change=0.02)
    torch.testing.assert_close(found, torch.tensor([0.52, 0.48, 0.05]))


def trained(name, steps, folder):
    update = UpdateSettings(steps=steps, tasks_per_step=10, learning_rate=3e-4)
    chosen = RunSettings(recipe=name, tasks=TaskSettings(names=("digits",), train=10, held_out=40), update=update)
    return local.run(chosen, folder / f"{name}-{steps}", on_event=lambda event: None)


@pytest.mark.slow
@pytest.mark.statistical
def test_learns_from_fewer_images_at_more_calls(tmp_path, record_property):
    """At 12 updates each it is ahead; at the model calls it spent for them, 78 updates of Flow-GRPO are ahead."""
    dense, flow = trained("densegrpo", 12, tmp_path), trained("flow-grpo", 12, tmp_path)
    same_calls = trained("flow-grpo", 78, tmp_path)
    runs = {"densegrpo": dense, "flow-grpo": flow, "flow-grpo, same calls": same_calls}
    record_property(
        "success and calls", {name: (one.last.success, one.cost["model_calls"]) for name, one in runs.items()}
    )
    assert dense.cost["model_calls"] == 6.5 * flow.cost["model_calls"] == same_calls.cost["model_calls"]
    assert dense.last.rewards["class"] > flow.last.rewards["class"]
    assert same_calls.last.rewards["class"] > dense.last.rewards["class"]


def test_settings_choose_noise_and_penalty():
    job = densegrpo.build(levels=(0.5, 0.4, 0.0), denoising_steps=3, kl=0.01)
    assert job.process.noise == noise.StepNoise(levels=(0.5, 0.4, 0.0))
    assert job.objective.needs_reference
    assert job.process.completed
    assert replace(job.credit, rule=Normalised(eps=1e-4)) == job.credit


def test_the_recipe_keeps_the_common_promises():
    check_recipe("densegrpo", tests=Path(__file__).parents[1])
