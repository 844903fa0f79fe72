"""Moves are the steps of a forest as flat tensors; what is not known of an action stays unknown."""

import pytest
import torch

from milepost.columns import End
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.traces.moves import moves_of, returns

TERMINATED, LIMIT = int(End.TERMINATED), int(End.TIME_LIMIT)


def two_episodes():
    """Root 0 -> 1 -> 2 (terminated) and root 3 -> 4 (cut off), with the action of row 2 unknown."""
    moved = torch.tensor([False, True, True, False, True])
    forest = Forest.of(
        [-1, 0, 1, -1, 3],
        {
            "observation": torch.arange(10.0).reshape(5, 2),
            "action": torch.tensor([[0.0], [1.0], [2.0], [0.0], [3.0]]),
            "ok.outcome": moved,
            "reward.outcome": torch.tensor([0.0, 1.0, 4.0, 0.0, 7.0]),
            "end": [0, 0, TERMINATED, 0, LIMIT],
        },
    ).with_valid("reward.outcome", moved)
    return forest.with_valid("action", torch.tensor([False, True, False, False, True]))


def test_by_hand():
    found = moves_of(two_episodes())
    assert found.row.tolist() == [1, 2, 4]
    assert found.state.tolist() == [[0, 1], [2, 3], [6, 7]]
    assert found.after.tolist() == [[2, 3], [4, 5], [8, 9]]
    assert found.action.tolist() == [[1], [0], [3]]
    assert found.known.tolist() == [True, False, True]
    assert found.terminated.tolist() == [row == 2 for row in (1, 2, 4)]
    assert found.previous.tolist() == [-1, 0, -1]
    assert found.trajectory.tolist() == [0, 0, 1]
    assert returns(found).tolist() == [5, 7]


def test_what_is_taken_keeps_its_order_and_forgets_the_rest():
    found = moves_of(two_episodes()).take(torch.tensor([False, True, True]))
    assert found.previous.tolist() == [-1, -1]
    assert found.trajectory.tolist() == [0, 1]
    assert len(found) == 2
    assert returns(found).tolist() == [4, 7]


def test_a_branch_shares_its_first_move():
    forest = two_episodes().append([1], {"observation": torch.zeros(1, 2), "action": torch.ones(1, 1), "end": [LIMIT]})
    found = moves_of(forest)
    assert found.previous.tolist() == [-1, 0, -1, 0]


def test_a_missing_column_is_named():
    with pytest.raises(ColumnError, match="lacks action"):
        moves_of(two_episodes().without("action"))
    empty = moves_of(two_episodes()).take(torch.zeros(3, dtype=torch.bool))
    assert returns(empty).tolist() == []


def test_numbered_actions_are_refused():
    forest = two_episodes()
    numbered = forest.with_columns({"action": torch.tensor([0, 1, 2, 0, 3])})
    with pytest.raises(ColumnError, match=r"numbered \(torch.int64\), expected vectors of real numbers"):
        moves_of(numbered)
