"""Trees inside a window of noise: where they fork, and what they cost."""

from types import SimpleNamespace

import pytest
import torch

from milepost import keys
from milepost.environments.denoising import Denoising
from milepost.errors import SettingError
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.digits import DigitNetwork
from milepost.policies.flow.noise import EvenNoise, Grid, Window
from milepost.policies.flow.process import Process
from milepost.sampling.branching.noisy import NoisyTree
from milepost.sampling.branching.tree import Tree
from milepost.sampling.frontier import Draw, grow
from milepost.testing.strategies import check_sampler

KEY = keys.root(3)
WORLD = Denoising()


class Counting(DigitNetwork):
    """A network that counts the latents it is asked about."""

    asked = 0

    def forward(self, latent, time, condition):
        self.asked += len(latent)
        return super().forward(latent, time, condition)


def grown(sampler, process, version=0):
    network = Counting(8, KEY)
    policy = Denoiser(network=network, process=process, version=version)
    draws = [Draw(task=WORLD.train()[0])]
    return grow(draws, policy=policy, environment=WORLD, sampler=sampler, key=KEY), network


@pytest.mark.parametrize("foreseen", [False, True])
@pytest.mark.parametrize(("steps", "depth", "place"), [(10, 4, 0), (10, 4, 5), (6, 2, 1), (5, 1, 3), (16, 4, 12)])
def test_calls_follow_the_formula(steps, depth, place, foreseen):
    """w + (2^d - 1) + 2^d (T - w - d), by the network's own count and by the cost column."""
    noise = Window(inner=EvenNoise(level=0.1), size=depth, every=1)
    process = Process(grid=Grid(steps=steps), noise=noise, foreseen=foreseen)
    position = place % max(steps - depth, 1)
    forest, network = grown(NoisyTree(process=process, widths=(2,) * depth), process, version=position)
    has_noise = 2**depth if position + depth < steps else 2 ** (depth - 1)  # the last step never has noise
    if position + depth < steps:
        wanted = position + (2**depth - 1) + has_noise * (steps - position - depth)
        assert network.asked == wanted
    assert float(forest["cost.model_calls"].nan_to_num().sum()) == network.asked
    assert len(forest.leaves()) == has_noise


def test_it_forks_where_the_window_is():
    process = Process(grid=Grid(steps=6), noise=Window(inner=EvenNoise(level=0.1), size=2, every=1))
    for version, depths in ((0, {1, 2}), (3, {4, 5})):
        forest, _ = grown(NoisyTree(process=process, widths=(2, 2)), process, version)
        wide = torch.bincount(forest.parent[1:], minlength=len(forest)) > 1
        assert set(forest.depth()[wide].tolist()) == depths


def test_noise_everywhere_and_one_fork_is_a_tree_that_branches_once():
    process = Process(grid=Grid(steps=4), noise=EvenNoise(level=0.1))
    own, _ = grown(NoisyTree(process=process, widths=(5, 1, 1)), process)
    plain, _ = grown(Tree(widths=(1, 5)), process)
    assert torch.equal(own["key"], plain["key"])
    assert torch.equal(own["latent"], plain["latent"])


def test_several_first_noises():
    process = Process(grid=Grid(steps=4), noise=Window(inner=EvenNoise(level=0.1), size=1, every=1))
    forest, _ = grown(NoisyTree(process=process, widths=(3,), trees=2), process)
    assert len(forest.leaves()) == 6
    assert int((forest.depth() == 1).sum()) == 2


def test_the_common_promises():
    told = SimpleNamespace(levels=lambda version: torch.tensor([0.5, 0.0, 0.5]))
    assert NoisyTree(process=told, widths=(2, 3)).counts(torch.arange(5), 0).tolist() == [1, 2, 1, 3, 1]
    process = Process(grid=Grid(steps=3), noise=EvenNoise(level=0.1))
    assert len(check_sampler(NoisyTree(process=process, widths=(2, 2)))) == 4


def test_numbers_are_checked():
    process = Process()
    for change in ({"widths": ()}, {"widths": (0,)}, {"trees": 0}):
        with pytest.raises(SettingError, match=next(iter(change))):
            NoisyTree(process=process, **change)


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_more_forks_than_steps_with_noise_are_refused(steps):
    """Three steps have noise at two of them: four forks would be two, and 32 images 8, without a word."""
    noise = Window(inner=EvenNoise(level=0.1), size=4)
    with pytest.raises(SettingError, match=rf"only {steps - 1} of {steps} denoising steps.*at least 5 denoising steps"):
        NoisyTree(process=Process(grid=Grid(steps=steps), noise=noise), widths=(2, 2, 2, 2))
    NoisyTree(process=Process(grid=Grid(steps=5), noise=noise), widths=(2, 2, 2, 2))
