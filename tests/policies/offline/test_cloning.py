"""Cloning imitates the best trajectories and only those."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.policies.offline.cloning import Cloning, best
from milepost.traces.moves import moves_of, returns
from tests.environments.offline.trajectories import trajectories

LOW, HIGH, KEY = torch.tensor([-1.0]), torch.tensor([1.0]), keys.root(0)


def test_best_by_hand():
    moves = moves_of(trajectories(5, steps=3))
    total = returns(moves)
    for share, count in ((0.2, 1), (0.4, 2), (0.01, 1), (1.0, 5)):
        chosen = moves.trajectory[best(moves, share)].unique()
        assert sorted(chosen.tolist()) == sorted(torch.argsort(total, descending=True)[:count].tolist())
    rest = moves.take(moves.trajectory > 2)
    assert best(rest, 0.5).sum() == 3  # of the two that are left


def test_it_imitates_the_better_habit():
    homing = trajectories(10, action=lambda state, draw: (-state).clip(-1, 1))
    away = trajectories(10, key=keys.root(2), action=lambda state, draw: state.clip(-1, 1))
    moves = moves_of(type(homing).concatenate([homing, away]))
    controller = Cloning(share=0.4, width=32, steps=300)(moves, LOW, HIGH, KEY)
    states = torch.tensor([[-0.4], [0.0], [0.4]])
    torch.testing.assert_close(controller.act(states), -states, atol=0.15, rtol=0)
    again = Cloning(share=0.4, width=32, steps=300)(moves, LOW, HIGH, KEY)
    assert torch.equal(controller.act(states), again.act(states))
    assert float(controller.act(torch.tensor([[50.0]]))) >= -1.0


def test_settings():
    with pytest.raises(SettingError, match="share"):
        Cloning(share=0.0)
