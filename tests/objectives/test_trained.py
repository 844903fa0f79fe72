"""What a loss may touch: by token, by step, and which trajectories count."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from milepost.forest import Forest
from milepost.objectives.normalise import TokenMean
from milepost.objectives.trained import held, log_ratio, trained, weights
from milepost.ragged import Ragged


def small() -> Forest:
    """Root 0 with a prompt token; answers of two, one and two tokens; row 2 has no credit, row 3 one unknown token."""
    columns = {
        "tokens.id": Ragged.of([[9], [1, 2], [3], [4, 5]], torch.int32),
        "tokens.train": Ragged.of([[False], [True, False], [True], [True, True]], torch.bool),
        "tokens.log_prob": Ragged.of([[0.0], [-1.0, -2.0], [-3.0], [-4.0, -5.0]], torch.float32),
        "advantage": [None, 1.0, None, -1.0],
    }
    forest = Forest.of([-1, 0, 0, 0], columns)
    return forest.with_valid("tokens.log_prob", torch.tensor([False, True, True, True, False, True]))


def test_units_by_hand():
    units = trained(small(), torch.zeros(6))
    assert units.mask.tolist() == [False, True, False, False, False, True]
    assert units.row.tolist() == [0, 1, 1, 2, 3, 3]
    assert units.behaviour.tolist() == [0.0, -1.0, 0.0, 0.0, 0.0, -5.0]
    assert units.advantage.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
    assert units.count.tolist() == [0, 1, 0, 1]
    assert [units.trajectories[line].tolist() for line in range(len(units.trajectories))] == [[0, 1], [0, 3]]


def test_ratios_and_weights_are_0_where_masked():
    now = torch.tensor([torch.nan, -0.5, torch.nan, 7.0, torch.nan, -5.0])
    units = trained(small(), now)
    assert log_ratio(units, now).tolist() == [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert weights(units, TokenMean(), now).tolist() == [0.0, 0.5, 0.0, 0.0, 0.0, 0.5]


def test_steps_without_tokens_are_the_units():
    columns = {
        "log_prob": [None, -1.0, -2.0, -3.0],
        "advantage": [None, 1.0, 2.0, 3.0],
        "stochastic": [None, True, False, True],
    }
    units = trained(Forest.of([-1, 0, 1, 2], columns), torch.zeros(4, dtype=torch.float64))
    assert units.mask.tolist() == [False, True, False, True]
    assert units.behaviour.dtype == torch.float64
    assert_close(units.advantage, torch.tensor([0.0, 1.0, 0.0, 3.0], dtype=torch.float64))


def test_a_shared_row_is_held_by_several_trajectories():
    lines = Ragged.of([[0, 1, 2], [0, 1, 3], [0, 4]], torch.int64)
    assert held(torch.zeros(5, dtype=torch.int64), lines).tolist() == [3.0, 2.0, 1.0, 1.0, 1.0]
