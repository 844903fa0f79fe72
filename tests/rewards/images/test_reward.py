"""Rewards of images on grown forests: gains telescope, deterministic steps gain nothing."""

import pytest
import torch

from milepost import keys
from milepost.environments.denoising import Denoising
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.policies.flow.denoiser import Denoiser
from milepost.policies.flow.digits import DigitNetwork
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid
from milepost.policies.flow.process import Process
from milepost.rewards import guard
from milepost.rewards.images.reward import ForeseenScore, Gain, ImageScore
from milepost.rewards.images.scorers import ClassLogProb
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

KEY = keys.root(2)
WORLD = Denoising(train_size=2)


def grown(noise, *, completed=True, foreseen=False):
    process = Process(grid=Grid(steps=5), noise=noise, completed=completed, foreseen=foreseen)
    policy = Denoiser(network=DigitNetwork(16, KEY), process=process)
    draws = [Draw(task=task) for task in WORLD.train()]
    return grow(draws, policy=policy, environment=WORLD, sampler=Independent(width=3), key=KEY)


def test_gains_add_up_to_the_score_of_the_image():
    forest = guard.score(ImageScore(), guard.score(Gain(), grown(FlowNoise(scale=0.5))))
    for leaf in forest.leaves().tolist():
        path = forest.path(leaf)[1:]
        assert float(forest["reward.gain"][path].double().sum()) == pytest.approx(
            float(forest["reward.class"][leaf]), abs=1e-4
        )


def test_steps_without_noise_gain_nothing():
    forest = guard.score(Gain(), grown(EvenNoise(level=0.0)))
    steps = (forest.depth() > 1).nonzero().flatten()
    assert float(forest["reward.gain"][steps].abs().max()) < 1e-3
    noisy = guard.score(Gain(), grown(FlowNoise(scale=0.5)))
    inner = noisy["stochastic"] & noisy.valid("stochastic")
    assert float(noisy["reward.gain"][inner].abs().mean()) > 1e-2
    last = (noisy["time"] == 0) & noisy.valid("time")
    assert float(noisy["reward.gain"][last].abs().max()) < 1e-3


def test_the_score_is_that_of_the_leafs_latent():
    forest = guard.score(ImageScore(scorer=ClassLogProb(), name="class"), grown(FlowNoise(), completed=False))
    leaf = forest.leaves()
    label = forest["observation"][forest.root_of()[leaf]]
    torch.testing.assert_close(forest["reward.class"][leaf], ClassLogProb()(forest["latent"][leaf], label))


def test_without_completions_there_is_no_gain_and_a_reason():
    forest = guard.score(Gain(), grown(FlowNoise(), completed=False))
    rows = (forest.parent >= 0).nonzero().flatten()
    assert not bool(forest["ok.gain"].any())
    assert all((forest.text("reason.gain")[row] or "").startswith("not_run") for row in rows.tolist())


def test_a_forest_without_images_is_refused():
    with pytest.raises(ColumnError, match="observation"):
        ImageScore()(Forest.of([-1, 0]), torch.tensor([1]))


def test_what_is_foreseen_is_scored_on_the_way_and_the_image_at_the_end():
    forest = grown(FlowNoise(scale=0.5), completed=False, foreseen=True)
    rows = (forest.parent >= 0).nonzero().flatten()
    found = ForeseenScore()(forest, rows).values
    label = forest["observation"][forest.root_of()[rows]]
    torch.testing.assert_close(found, ClassLogProb()(forest["estimate"][rows], label))
    end = guard.score(ImageScore(), forest)
    leaf = forest.leaves()
    torch.testing.assert_close(ForeseenScore()(forest, leaf).values, end["reward.class"][leaf])
    with pytest.raises(ColumnError, match="estimate"):
        ForeseenScore()(grown(FlowNoise(), completed=False), rows)


def test_a_score_that_is_no_number_has_failed():
    def some(image, label):
        return torch.where(label == 0, torch.nan, 1.0)

    some.range = (0.0, 1.0)
    forest = grown(FlowNoise())
    leaves = forest.leaves()
    assert ImageScore(scorer=some)(forest, leaves).ok.tolist() == [False] * 3 + [True] * 3
    scored = guard.score(ImageScore(scorer=some), forest, leaves)
    assert scored["ok.class"][leaves].tolist() == [False] * 3 + [True] * 3
    assert scored.text("reason.class")[int(leaves[0])].startswith("reward_error")
