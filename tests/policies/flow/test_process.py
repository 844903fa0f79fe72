"""The sampler's settings: which steps have noise, what guidance mixes."""

import pytest
import torch

from milepost.errors import SettingError
from milepost.policies.flow.kernel import DiffusionKernel, FlowKernel
from milepost.policies.flow.noise import EvenNoise, Grid, StepNoise, Window
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


def test_forks_are_where_noise_follows():
    """Three steps, the last without noise: after the draw of the noise (1) and after the first step (2)."""
    process = Process(grid=Grid(steps=3))
    assert process.forking((1, 2)) == (1, 2)
    assert process.forking(()) == ()
    with pytest.raises(SettingError, match=r"after \[0, 3\] of 3 .* some of \[1, 2\]"):
        process.forking((0, 1, 3))


def test_noise_is_checked_for_every_update_to_come():
    """A window that has not reached the step with too much noise yet is refused for the update at which it does."""
    window = Window(inner=StepNoise(levels=(0.1, 0.1, 9.0, 0.0)), size=1, every=2)
    process = Process(grid=Grid(steps=4), noise=window)
    process.check(FlowKernel(), updates=3)
    with pytest.raises(SettingError, match=r"from time 0\.5 to 0\.25"):
        process.check(FlowKernel(), updates=4)
    with pytest.raises(SettingError, match="at most 1"):
        Process().check(DiffusionKernel())
