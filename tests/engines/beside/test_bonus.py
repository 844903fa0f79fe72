"""A bonus beside the policy: scored before it is remembered, and the same after a stop."""

import numpy as np
import torch

from milepost.engines.beside.bonus import Memorised
from milepost.forest import Forest
from milepost.rewards.bonus.distillation import Distilled

SURVEY = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float32)
FOREST = Forest.of([-1, 0, 1], {"observation": torch.from_numpy(SURVEY[:3])})


def fresh() -> Memorised:
    part = Distilled()
    return Memorised(part=part, memory=part.init(SURVEY))


def test_numbers_and_version() -> None:
    beside = fresh()
    found = beside(FOREST, 0)
    assert found.numbers["learned/bonus_mean"] > 0
    assert found.numbers["learned/bonus_std"] > 0
    assert beside.version == 1
    assert beside(FOREST, 1).numbers["learned/bonus_mean"] != found.numbers["learned/bonus_mean"]


def test_what_is_kept_in_a_checkpoint_is_all_there_is() -> None:
    beside, other = fresh(), fresh()
    beside(FOREST, 0)
    other.restore(beside.tensors(), beside.version)
    first, second = (one(FOREST, 7).forest["reward.bonus"] for one in (beside, other))
    assert torch.equal(first, second)
    assert other.version == 2
