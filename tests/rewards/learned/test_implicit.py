"""The implicit step reward: hand example, what counts, and its start at 0."""

from __future__ import annotations

import pytest
import torch

from milepost.columns import Role
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.pairs import TrajectoryPreference
from milepost.ragged import Ragged
from milepost.rewards.learned.implicit import Implicit, implicit_reward


def implicit(**settings):
    return Implicit(objective=TrajectoryPreference(), **settings)


def forest():
    """A prompt, a step of two own tokens and an observation, and a step that nobody trains."""
    ids = Ragged.of([[0], [1, 2, 3], [1]], torch.int32)
    role = [int(Role.PROMPT), int(Role.POLICY), int(Role.POLICY), int(Role.OBSERVATION), int(Role.POLICY)]
    columns = {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.tensor(role, dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.tensor([False, True, True, False, False]), ids.offsets),
        "tokens.log_prob": Ragged(torch.tensor([0.0, -1.0, -2.0, 0.0, -1.0]), ids.offsets),
    }
    return Forest.of([-1, 0, 1], columns)


def test_hand_example():
    assert implicit_reward(torch.tensor([-1.0]), torch.tensor([-3.0]), beta=0.5).tolist() == [1.0]
    found = implicit(beta=0.5).score(forest(), torch.tensor([9.0, -0.5, -1.0, 9.0, -0.5]))
    assert found["ok.implicit"].tolist() == [False, True, False]
    assert float(found["reward.implicit"][1]) == pytest.approx(0.75)
    assert found.text("reason.implicit") == [None] * 3


def test_at_the_sampling_policy_every_reward_is_0():
    found = implicit().score(forest(), forest()["tokens.log_prob"])
    assert float(found["reward.implicit"][1]) == 0


def test_it_is_ready_when_its_objective_is():
    scored = Forest.of([-1, 0, 0], {"reward.total": torch.tensor([0, 1.0, 0.0]), "ok.total": [False, True, True]})
    assert implicit().ready(scored)
    assert not implicit().ready(scored.with_columns({"reward.total": torch.zeros(3)}))


def test_settings():
    for bad in ({"beta": 0.0}, {"learning_rate": 0.0}, {"gradient_clip": 0.0}):
        with pytest.raises(SettingError):
            implicit(**bad)
