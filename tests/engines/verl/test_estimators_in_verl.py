"""Estimators against verl's own functions, and called by the function that its trainers call."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from verl import DataProto
from verl.trainer.ppo import core_algos

from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from tests.engines.verl.ragged_batches import random_batch

pytestmark = pytest.mark.trainers

SAME = {
    "milepost_grpo": (core_algos.compute_grpo_outcome_advantage, {}),
    "milepost_dr_grpo": (core_algos.compute_grpo_outcome_advantage, {"norm_adv_by_std_in_grpo": False}),
    "milepost_rloo": (core_algos.compute_rloo_outcome_advantage, {}),
}


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", SAME)
def test_the_same_numbers_as_verls_own(name, dense):
    theirs, settings = SAME[name]
    for number in range(25):
        batch = random_batch(number, dense=dense)
        given = {"response_mask": batch.mask, "index": batch.index}
        mine, _ = core_algos.get_adv_estimator_fn(name)(token_level_rewards=batch.rewards.clone(), **given, config=None)
        wanted, _ = theirs(token_level_rewards=batch.rewards.clone(), **given, **settings)
        spread = wanted.std()
        assert spread > 0
        assert (mine - wanted).abs().max() < 1e-6 * max(1.0, float(wanted.abs().max()))


def test_a_lone_row_has_no_baseline_here():
    batch = random_batch(1, rows=1, smallest=1)
    one = {"response_mask": batch.mask[:1], "index": np.array(["a"], dtype=object)}
    rewards = torch.zeros_like(batch.rewards[:1])
    rewards[0, 0] = 1.0
    mine, _ = Estimator(credit=ESTIMATORS["milepost_grpo"])(token_level_rewards=rewards, **one)
    theirs, _ = core_algos.compute_grpo_outcome_advantage(token_level_rewards=rewards.clone(), **one)
    assert mine.abs().max() == 0 < theirs.abs().max()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_trainers_call_it(name):
    from verl.trainer.ppo.ray_trainer import compute_advantage

    batch = random_batch(7, dense=name == "milepost_steps")
    data = DataProto.from_dict(
        {"token_level_rewards": batch.rewards, "response_mask": batch.mask}, {"uid": batch.index}
    )
    found = compute_advantage(data, adv_estimator=name, config=OmegaConf.create({"adv_estimator": name}))
    expected, _ = Estimator(credit=ESTIMATORS[name])(batch.rewards, batch.mask, index=batch.index)
    assert torch.equal(found.batch["advantages"], expected)
    assert expected.abs().max() > 0
