"""What the simulator pays, and whether the goal was reached."""

import pytest
import torch

from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.rewards.control.episodes import Earned, Payoff, Reached

FOREST = Forest.of(
    [-1, 0, 1, 1],
    {"extra.payoff": [None, 2.0, -3.0, 5.0], "extra.success": [None, None, 0.0, 1.0]},
)


def test_payoffs_are_cut():
    rows = torch.tensor([1, 2])
    assert Payoff(largest=1.0)(FOREST, rows).values.tolist() == [1.0, -1.0]
    assert Payoff()(FOREST, rows).values.tolist() == [2.0, -3.0]
    assert Payoff(largest=1.0).range == (-1.0, 1.0)


def test_sums_follow_their_branch():
    assert Earned()(FOREST, torch.tensor([2, 3])).values.tolist() == [-1.0, 7.0]


def test_success():
    assert Reached()(FOREST, torch.tensor([2, 3])).values.tolist() == [0.0, 1.0]


def test_a_forest_from_elsewhere_is_told():
    with pytest.raises(ColumnError, match=r"environments\.control"):
        Payoff()(Forest.of([-1, 0]), torch.tensor([1]))
