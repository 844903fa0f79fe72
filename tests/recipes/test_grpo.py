"""The baseline: its card, its settings, and that it learns in a small world and on tasks with a verifier."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost.credit.group import Centred, Normalised
from milepost.objectives.clipped import Clipped
from milepost.objectives.kl import KLPenalty
from milepost.objectives.normalise import SequenceMean
from milepost.recipes import grpo
from milepost.testing.recipes import check_recipe, learn


def test_recipe_keeps_its_promises():
    check_recipe("grpo", tests=Path(__file__).parents[1])


def test_settings_reach_the_parts():
    assert grpo.build().credit == Normalised(ddof=0)
    job = grpo.build(width=4, std=False, clip_low=0.1, clip_high=0.28, sequence_mean=True, kl=0.04, resample_rounds=2)
    assert job.sampler.width == 4
    assert job.credit == Centred()
    assert job.resample_rounds == 2
    surrogate = Clipped(low=0.1, high=0.28, normalise=SequenceMean())
    assert job.objective == KLPenalty(objective=surrogate, coefficient=0.04, normalise=SequenceMean())
    assert grpo.build(kl=0.0).objective == Clipped()


@pytest.mark.parametrize("settings", [{}, {"std": False}, {"sequence_mean": True}, {"kl": 0.01}])
def test_learns_the_payoff(settings):
    """One letter in three is right. Sixty steps lift the mean reward from about 1/3 to more than 2/3."""
    job = grpo.build(**settings)
    job = replace(job, rewards=job.rewards[:1], weights=(1.0,))
    before, after = (learn(job, steps=steps).last for steps in (1, 60))

    def mean(forest):
        leaves = forest.leaves()
        ok = forest["ok.total"][leaves]
        return float(forest["reward.total"][leaves][ok].double().mean())

    assert mean(before) < 0.55
    assert mean(after) > 2 / 3
    assert torch.isfinite(torch.tensor(mean(after)))
