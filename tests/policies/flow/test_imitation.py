"""The view that adds the way to the best image: what it weighs, and where it leads."""

import pytest
import torch

from milepost import keys
from milepost.columns import Origin
from milepost.environments.denoising import Denoising
from milepost.forest import Forest
from milepost.policies.flow import kernel
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.digits import DigitNetwork
from milepost.policies.flow.imitation import TowardsBest, shortfall
from milepost.policies.flow.noise import FlowNoise, Grid
from milepost.policies.flow.process import Process
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow

KEY, WORLD = keys.root(6), Denoising()


def batch(rewards, *, trees=1):
    """Trees of two first steps and two second ones each, whose leaves have the given rewards."""
    process = Process(grid=Grid(steps=3), noise=FlowNoise(scale=0.5))
    policy = Denoiser(network=DigitNetwork(48, KEY), process=process)
    draws = [Draw(task=WORLD.train()[number]) for number in range(trees)]
    forest = grow(draws, policy=policy, environment=WORLD, sampler=Tree(widths=(1, 2, 2)), key=KEY)
    leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
    value = torch.zeros(len(forest)).masked_scatter(leaf, torch.tensor(rewards))
    return policy, forest.with_columns({"reward.total": value, "ok.total": leaf}).with_valid("reward.total", leaf)


def lessons(forest):
    seen = TowardsBest()(forest)
    return seen, (seen["origin"] == int(Origin.TEACHER)).nonzero().flatten()


def error(policy, seen, rows):
    """Squared error of the velocity of the states above the rows, from the way to the clean image that they lead to."""
    above = seen.parent[rows]
    latent, time = seen["latent"][above], seen["time"][above]
    clean = seen["latent"][int(seen["reward.total"].nan_to_num(-1).argmax())]
    velocity = policy.network(latent, time, seen["observation"][seen.root_of()[rows]])
    return (velocity - (latent - clean) / kernel.across(time, latent)).square().flatten(1).mean(1)


def test_shortfall_by_hand():
    found = shortfall(torch.tensor([1.0, 0.0, 0.5]), torch.ones(3), torch.zeros(3))
    assert found.tolist() == pytest.approx([0.0, 1.0, 0.5])
    assert shortfall(torch.ones(2), torch.ones(2), torch.ones(2)).tolist() == [0.0, 0.0]


def test_the_best_path_has_no_lesson_and_the_others_as_they_fall_short():
    """Rewards 0, 1, 2, 4: of the two states after the first step the one above 0 and 1 falls short by 3.5 of 4."""
    policy, forest = batch([0.0, 1.0, 2.0, 4.0])
    seen, rows = lessons(forest)
    assert len(rows) == 1
    assert float(forest["time"][seen.parent[rows]]) == pytest.approx(2 / 3)
    log_prob = policy.log_prob(seen, torch.arange(len(seen)))
    assert not bool(seen.valid("log_prob")[rows].any())
    std = seen["std"][rows]
    constant = std.log() + 0.5 * torch.log(torch.tensor(2 * torch.pi))  # what a density has besides the square
    pull = seen["weight"][rows] * (-log_prob[rows] - constant)
    torch.testing.assert_close(pull, 0.875 * error(policy, seen, rows), rtol=1e-3, atol=1e-4)


def test_of_equally_good_images_the_first_is_followed():
    """Rewards 4, 1, 2, 4: the other first step falls short by (4 - 3) / (4 - 1), and its lesson leads to image one."""
    _, forest = batch([4.0, 1.0, 2.0, 4.0])
    seen, rows = lessons(forest)
    first = int(forest.leaves()[0])
    assert float(seen["reward.total"][first]) == 4
    assert seen.parent[rows].tolist() == [int(forest.parent[forest.parent[forest.leaves()[2]]])]
    above, std = seen.parent[rows], seen["std"][rows]
    latent, now, after = seen["latent"][above], seen["time"][above], seen["time"][rows]
    velocity = (latent - seen["latent"][first]) / kernel.across(now, latent)
    torch.testing.assert_close(seen["latent"][rows], kernel.flow_mean(latent, velocity, now, after, std))
    slope = (now - after) + std.square() / (2 * now) * (1 - now)
    torch.testing.assert_close(seen["weight"][rows], 2 / 3 * std.square() / slope.square())


def test_equal_rewards_teach_nothing():
    _, forest = batch([0.7] * 4)
    assert TowardsBest()(forest) is forest


def test_the_best_of_a_bad_tree_is_not_followed():
    """The second tree's best is below the mean of the batch."""
    _, forest = batch([3.0, 4.0, 5.0, 6.0, 0.0, 0.1, 0.2, 0.3], trees=2)
    seen, rows = lessons(forest)
    assert len(rows)
    assert set(seen.root_of()[rows].tolist()) == {0}


def test_the_pull_leads_to_the_best_image():
    """After 300 steps on the lessons of one tree what is foreseen at their states is ten times nearer to the image."""
    policy, forest = batch([0.0, 1.0, 2.0, 4.0])
    seen, rows = lessons(forest)
    before = float(error(policy, seen, rows).mean())
    optimiser = torch.optim.Adam(list(policy.trainable().values()), lr=3e-3)
    for _ in range(300):
        optimiser.zero_grad()
        (-(seen["weight"] * policy.log_prob(seen, torch.arange(len(seen))))[rows].mean()).backward()
        optimiser.step()
    assert float(error(policy, seen, rows).mean()) < before / 100  # of the squares


def test_what_has_no_images_is_left_alone():
    forest = Forest.of([-1, 0, 0])
    assert TowardsBest()(forest) is forest
