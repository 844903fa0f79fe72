"""Grids and noise schedules against the numbers of their papers."""

import pytest
import torch

from milepost.errors import SettingError
from milepost.policies.flow.noise import DepthNoise, EvenNoise, FlowNoise, GivenTimes, Grid, StepNoise, Window


def test_grid_is_even_or_shifted():
    assert Grid(steps=4)().tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    shifted = Grid(steps=10, shift=3.0)()
    assert shifted[0] == 1
    assert shifted[-1] == 0
    assert bool((shifted[1:-1] > Grid(steps=10)()[1:-1]).all())


def test_flow_noise_is_that_of_the_paper():
    grid = Grid(steps=10)()
    levels = FlowNoise(scale=0.7)(grid, 0)
    assert float(levels[5]) == pytest.approx(0.7)  # t = 1/2
    assert float(levels[0]) == pytest.approx(0.7 / 0.1**0.5, rel=1e-5)  # t = 1: the next time's 1 - t
    assert bool((levels.diff() < 0).all())


def test_no_scale_is_no_noise():
    assert not bool(FlowNoise(scale=0.0)(Grid(steps=5)(), 0).any())


def test_window_slides_and_begins_again():
    noise, grid = Window(inner=EvenNoise(level=1.0), size=2, every=10), Grid(steps=5)()
    places = [noise(grid, version).nonzero().flatten().tolist() for version in (0, 9, 10, 20, 30)]
    assert places == [[0, 1], [0, 1], [1, 2], [2, 3], [0, 1]]


def test_a_window_as_wide_as_the_grid_does_not_slide():
    noise = Window(inner=EvenNoise(level=1.0), size=9, every=1)
    assert torch.equal(noise(Grid(steps=4)(), 0), noise(Grid(steps=4)(), 7))


def test_step_noise_needs_a_level_for_each_step():
    with pytest.raises(SettingError, match="2 entries for 3 steps"):
        StepNoise(levels=(0.1, 0.2))(Grid(steps=3)(), 0)


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        (Grid, {"steps": 0}),
        (Grid, {"shift": 0.0}),
        (FlowNoise, {"scale": -1.0}),
        (EvenNoise, {"level": -0.1}),
        (StepNoise, {"levels": (-0.1,)}),
        (StepNoise, {"levels": ()}),
        (Window, {"size": 0}),
        (Window, {"every": 0}),
    ],
)
def test_settings_out_of_range_are_refused(part, settings):
    with pytest.raises(SettingError):
        part(**settings)


def test_given_times_must_fall_from_one_to_zero():
    assert GivenTimes(times=(1.0, 0.6, 0.0))().tolist() == pytest.approx([1.0, 0.6, 0.0])
    for times in ((1.0,), (0.9, 0.0), (1.0, 0.1), (1.0, 0.5, 0.5, 0.0)):
        with pytest.raises(SettingError, match="fall from 1 to 0"):
            GivenTimes(times=times)


def test_noise_grows_with_depth():
    """Three of five steps have noise, which grows by 1/6, 2/6, 3/6; without growth it is the window."""
    inner, grid = Window(inner=EvenNoise(level=0.6), size=3, every=1), Grid(steps=5)()
    torch.testing.assert_close(DepthNoise(inner=inner, growth=0.5)(grid, 1), torch.tensor([0, 0.7, 0.8, 0.9, 0]))
    assert torch.equal(DepthNoise(inner=inner, growth=0.0)(grid, 1), inner(grid, 1))


def test_noise_that_grows_stays_below_its_bound():
    """sigma^2 D / (2 t) is at most 1/2, unless it was more before it grew."""
    grid = Grid(steps=10)()
    level = DepthNoise(inner=FlowNoise(scale=0.7), growth=9.0)(grid, 0)
    taken = level.square() * (grid[:-1] - grid[1:]) / (2 * grid[:-1])
    assert float(taken.max()) == pytest.approx(0.5, abs=1e-5)
    assert torch.equal(DepthNoise(inner=EvenNoise(level=9.0), growth=1.0)(grid, 0), torch.full((10,), 9.0))
    with pytest.raises(SettingError, match="growth"):
        DepthNoise(growth=-1.0)


def test_levels_come_again_after_their_period():
    for part in (FlowNoise(), StepNoise(levels=(0.1, 0.2, 0.3, 0.4)), DepthNoise(inner=Window(size=2, every=3))):
        grid = Grid(steps=4)()
        period = part.period(4)
        levels = [part(grid, version).tolist() for version in range(3 * period)]
        assert levels[:period] * 3 == levels
        assert all(levels[:shift] * (period // shift) != levels[:period] for shift in range(1, period))
    assert DepthNoise(inner=Window(size=2, every=3)).period(4) == 6
