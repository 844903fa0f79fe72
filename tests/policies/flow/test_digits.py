"""The digit models: trained from a key, kept, and of the stated kernel."""

import pytest
import torch

from milepost.environments.denoising import Denoising
from milepost.errors import UnknownName
from milepost.policies.flow import digits
from milepost.policies.flow.noise import EvenNoise
from milepost.policies.flow.process import Process
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

BRIEF = digits.Training(steps=150, batch=64, width=48)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", sorted(digits.KERNELS))
def test_training_brings_the_loss_down_and_is_kept(name, own_cache):
    policy = digits.load(name, process=Process(noise=EvenNoise(level=0.5)), training=BRIEF)
    assert policy.kernel == digits.KERNELS[name]
    (kept,) = (own_cache / "milepost").iterdir()
    before = kept.stat().st_mtime_ns
    again = digits.load(name, process=Process(noise=EvenNoise(level=0.5)), training=BRIEF)
    assert kept.stat().st_mtime_ns == before
    assert all(torch.equal(again.trainable()[label], value) for label, value in policy.trainable().items())
    world = Denoising(train_size=4)
    forest = grow(
        [Draw(task=task) for task in world.train()],
        policy=policy,
        environment=world,
        sampler=Independent(width=8),
        key=1,
    )
    image = forest["latent"][forest.leaves()]
    blank = image[:, :, 0].mean()  # the left column of nearly every digit is blank paper
    assert float(blank) < float(image[:, :, 3:5].mean()) - 0.3


def test_the_same_key_gives_the_same_weights():
    first, second = (digits.train("digits-flow", digits.Training(steps=3, batch=8, width=8)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_model_names_the_known_ones():
    with pytest.raises(UnknownName, match="digits-flow"):
        digits.load("digits-flw", process=Process())


def test_the_condition_is_read():
    network = digits.DigitNetwork(16, 0)
    latent, time = torch.ones(2, 8, 8), torch.full((2,), 0.5)
    told = network(latent, time, torch.tensor([3, -1]))
    assert not torch.allclose(told[0], told[1])
