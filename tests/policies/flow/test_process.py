"""The sampler's settings: which steps have noise, what guidance mixes."""

import pytest
import torch

from milepost.errors import SettingError
from milepost.policies.flow.noise import EvenNoise, Grid
from milepost.policies.flow.process import Process, guided


def test_the_last_step_never_has_noise():
    assert Process(grid=Grid(steps=3), noise=EvenNoise(level=0.5)).levels(0).tolist() == [0.5, 0.5, 0.0]
    assert Process(grid=Grid(steps=1)).levels(0).tolist() == [0.0]


def test_deterministic_keeps_times_and_guidance():
    process = Process(grid=Grid(steps=3, shift=2.0), guidance=1.5, completed=True)
    quiet = process.deterministic()
    assert not bool(quiet.levels(0).any())
    assert (quiet.grid, quiet.guidance, quiet.completed) == (process.grid, 1.5, False)


def test_guidance_between_and_beyond_two_models():
    plain, conditioned = torch.tensor([1.0]), torch.tensor([3.0])
    assert [float(guided(plain, conditioned, weight)) for weight in (0.0, 1.0, 2.0)] == [1.0, 3.0, 5.0]


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError):
        Process(guidance=-1.0)
    with pytest.raises(SettingError):
        Process(reduction="max")
