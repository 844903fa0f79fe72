"""Preferences between trajectories: who pairs with whom, the loss, its slope, and DPO as a limit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.pairs import TrajectoryPreference, outcome_pairs, preference_loss
from milepost.ragged import Ragged


def episodes(groups, steps=2):
    """One root per group; each outcome is a trajectory of `steps` steps of two tokens; None failed to score."""
    parent, reward = [-1] * len(groups), [None] * len(groups)
    for root, outcomes in enumerate(groups):
        for value in outcomes:
            above = root
            for step in range(steps):
                parent.append(above)
                reward.append(value if step == steps - 1 else None)
                above = len(parent) - 1
    size = len(parent)
    ids = Ragged.of([[0, 1]] * size, torch.int32)
    train = torch.tensor([above >= 0 for above in parent]).repeat_interleave(2)
    return Forest.of(
        parent,
        {
            "reward.total": torch.tensor([torch.nan if one is None else one for one in reward]),
            "ok.total": [one is not None for one in reward],
            "tokens.id": ids,
            "tokens.train": Ragged(train, ids.offsets),
            "tokens.log_prob": Ragged(-torch.arange(2 * size).float() / 10 - 0.1, ids.offsets),
        },
    )


def test_every_success_pairs_with_every_failure_of_its_task():
    forest = episodes([(1.0, 0.0, 1.0), (1.0, 1.0), (0.0,), (None, 1.0), (0.0, 1.0)])
    pairs = outcome_pairs(forest, margin=0.0)
    root = forest.root_of()
    found = [(int(root[a]), float(forest["reward.total"][a]), float(forest["reward.total"][b])) for a, b in
             zip(pairs.better, pairs.worse, strict=True)]  # fmt: skip
    assert sorted(found) == [(0, 1.0, 0.0), (0, 1.0, 0.0), (4, 1.0, 0.0)]
    assert torch.equal(root[pairs.better], root[pairs.worse])


def test_graded_outcomes_pair_beyond_the_margin():
    forest = episodes([(0.0, 0.3, 1.0)])
    assert len(outcome_pairs(forest, margin=0.0)) == 3
    assert len(outcome_pairs(forest, margin=0.3)) == 2
    assert len(outcome_pairs(forest, margin=1.0)) == 0
    assert len(outcome_pairs(Forest.of([], {"reward.total": [], "ok.total": []}), margin=0.0)) == 0


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_the_slope_is_bounded(better, worse):
    one = torch.tensor([better, worse], dtype=torch.float64, requires_grad=True)
    loss = preference_loss(one[:1], one[1:]).sum()
    (slope,) = torch.autograd.grad(loss, one)
    assert bool((slope.abs() <= 1).all())
    assert float(loss.detach()) == pytest.approx(-math.log(1 / (1 + math.exp(worse - better))), abs=1e-9)


def test_the_gradient_of_a_step_is_at_most_beta():
    """Every log-probability is pushed by at most beta per pair, and pairs are averaged."""
    forest = episodes([(1.0, 0.0)])
    log_prob = (forest["tokens.log_prob"].double() * 3).requires_grad_()
    (slope,) = torch.autograd.grad(TrajectoryPreference(beta=0.05)(forest, log_prob).loss, log_prob)
    assert bool((slope.abs() <= 0.05).all())
    assert bool((slope[~forest["tokens.train"]] == 0).all())


def test_at_the_sampling_policy_the_loss_is_ln_2_and_the_gradient_is_not_0():
    forest = episodes([(1.0, 0.0, 0.0)])
    log_prob = forest["tokens.log_prob"].double().requires_grad_()
    loss = TrajectoryPreference()(forest, log_prob).loss
    assert float(loss.detach()) == pytest.approx(math.log(2))
    (slope,) = torch.autograd.grad(loss, log_prob)
    assert bool((slope != 0).any())


def test_answers_of_one_step_give_dpo():
    """-log sigmoid(beta ((log phi - log old)(better) - (log phi - log old)(worse)))."""
    forest = episodes([(1.0, 0.0)], steps=1)
    log_prob = forest["tokens.log_prob"].double() + torch.tensor([0, 0, 0.3, 0.1, -0.2, 0.4])
    truth = -math.log(1 / (1 + math.exp(-0.5 * (0.4 - 0.2))))
    found = TrajectoryPreference(beta=0.5)(forest, log_prob)
    assert float(found.loss) == pytest.approx(truth, abs=1e-6)
    assert found.metrics["objective/pairs"] == 1
    assert found.metrics["objective/ranked"] == 1


def test_the_authors_code_divides_by_the_steps():
    forest = episodes([(1.0, 0.0)])
    log_prob = forest["tokens.log_prob"].double() + 0.1 * torch.arange(10)
    whole, mean = (TrajectoryPreference(step_mean=one).scores(forest, log_prob) for one in (False, True))
    leaf = forest.leaves()
    assert torch.allclose(mean[leaf] * 2, whole[leaf])


def test_without_pairs_nothing_is_learned():
    forest = episodes([(1.0, 1.0), (0.0,)])
    part = TrajectoryPreference()
    assert not part.ready(forest)
    log_prob = forest["tokens.log_prob"].double().requires_grad_()
    found = part(forest, log_prob)
    assert float(found.loss.detach()) == 0
    assert bool((torch.autograd.grad(found.loss, log_prob)[0] == 0).all())


def test_settings():
    for bad in ({"beta": 0.0}, {"margin": -1.0}):
        with pytest.raises(SettingError):
            TrajectoryPreference(**bad)
