"""The recipe: its settings reach its parts, and with a real model draws do what the reward asks for."""

from pathlib import Path

import pytest

from milepost import keys
from milepost.credit.tree.values import SoftMean
from milepost.errors import MilepostError
from milepost.policies.flow import digits
from milepost.policies.flow.noise import EvenNoise
from milepost.recipes import dts
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.selection import Boltzmann, Budget, UpperBound, Widening
from milepost.testing.recipes import check_recipe

KEY = keys.root(0)


def test_settings_reach_their_parts():
    job = dts.build(classes=("class 1",), images=20, denoising_steps=6, forks=(2, 4), temperature=0.5, exponent=0.3)
    assert (job.tasks, job.repeats) == (("class 1",), 2)
    sampling, searching, resampling, best, particles = (one.sampler for one in job.seekers.values())
    for one, selector in ((sampling, Boltzmann(temperature=0.5)), (searching, UpperBound())):
        assert (one.selector, one.reduction, one.widening) == (
            selector, SoftMean(temperature=0.5), Widening(exponent=0.3)
        )  # fmt: skip
        assert (one.forks, one.budget) == ((2, 4), Budget(calls=120.0, at_once=8))
    assert resampling == best == Independent(width=20)
    assert (particles.width, particles.forks, particles.temperature) == (20, (2, 4), 0.5)
    process = dts.build(model="digits-ddpm").seekers["DTS"].policy.process
    assert (process.noise, process.guidance, process.foreseen) == (EvenNoise(level=1.0), 0.0, True)


def test_draws_are_of_the_class_that_only_the_reward_knows():
    """With as many calls as 24 images take; without a reward the model draws each class one time in ten."""
    job = dts.build(images=24, exponent=0.5)
    found = {name: seeker("class 9", KEY) for name, seeker in job.seekers.items()}
    for name, one in found.items():
        assert 240 <= one.scene["calls"] < 250, name
        assert one.scene["rewards"]["class"] > one.scene["plain"]["class"], name
    assert found["DTS"].scene["rewards"]["recognised"] > 2 * found["resampling"].scene["plain"]["recognised"]
    assert found["best of n"].cost == found["resampling"].cost


@pytest.mark.slow
def test_the_recipe_keeps_the_contract():
    checked = check_recipe("dts", tests=Path(__file__).parents[1])
    assert "DTS* finds the same again" in checked


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"denoising_steps": 5}, r"\[5, 7, 9\] of 5 denoising steps .* some of \[1, 2, 3, 4\]"),
        ({"images": 32}, "images=32 .* before image 32"),
        ({"classes": ("class 1", "class 11")}, "class 11"),
        ({"model": "digits"}, "Did you mean 'digits-"),
        ({"model": "digits-ddpm", "forks": (0,)}, "forks"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_loaded(settings, says, monkeypatch):
    monkeypatch.setattr(digits, "load", None)
    with pytest.raises(MilepostError, match=says):
        dts.build(**settings)
