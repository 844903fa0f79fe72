"""Which steps are compared: what a step is worth, what counts, and what steps without siblings inherit."""

from __future__ import annotations

import pytest
import torch

from milepost.credit.compare import earned, failed, lone, siblings, unfailed, worth, write
from milepost.credit.group import Centred, Normalised
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.testing.answers import scored


def branches() -> Forest:
    """Root 0; 1 and 2 below it; 3 and 4 below 1, 5 below 2. Row 4 failed; row 1 earned 1, row 2 nothing."""
    columns = {
        "reward.total": [None, 1.0, None, 2.0, None, 4.0],
        "ok.total": [False, True, False, True, False, True],
        "reason.total": [None, None, None, None, "reward_error", None],
        "discount": [1.0, 0.5, 1.0, 0.0, 0.0, 0.0],
    }
    return Forest.of([-1, 0, 0, 1, 1, 2], columns)


def test_a_leaf_needs_its_reward_and_an_inner_step_does_not():
    assert failed(branches(), "total").tolist() == [False, False, False, False, True, False]
    bare = branches().without("reason.total")
    assert failed(bare, "total").tolist() == [False, False, False, False, True, False]
    named = branches().with_columns({"reason.total": [None, None, "reward_timeout", None, "reward_error", None]})
    assert failed(named, "total").tolist() == [False, False, True, False, True, False]
    assert unfailed(named, ("total",)).tolist() == [True, True, False, True, False, False]


def test_earned_is_0_where_there_is_no_reward():
    assert earned(branches(), "total").tolist() == [0.0, 1.0, 0.0, 2.0, 0.0, 4.0]


def test_worth_by_hand():
    found = worth(branches())
    assert found.ok.tolist() == [True, True, True, True, False, True]
    assert found.value[1:].tolist() == [2.0, 4.0, 2.0, 0.0, 4.0]  # 1 + 0.5 * 2, and 0 + 1 * 4


def test_siblings_share_the_row_of_their_parent():
    found = siblings(branches())
    assert found.row.tolist() == [1, 2, 3, 4, 5]
    assert found.group.tolist() == [0, 0, 1, 1, 2]
    assert found.ok.tolist() == [True, True, True, False, True]
    assert lone(found).tolist() == [False, False, True, False, True]


def test_write_hands_credit_down_to_steps_without_siblings():
    forest = branches()
    found = write(forest, siblings(forest), torch.tensor([7.0, -7.0, 3.0, 0.0, 5.0]))
    assert found["advantage"].tolist() == [0.0, 7.0, -7.0, 7.0, 0.0, -7.0]  # what lone rows were given is not used
    assert found.valid("advantage").tolist() == [False, True, True, True, False, True]


def test_further_rewards_may_be_needed():
    forest = scored([[1.0, 0.0, 1.0]], solved=[[None, 0.0, 1.0]])
    assert siblings(forest).ok.tolist() == [True, True, True]
    assert siblings(forest, needs=("solved",)).ok.tolist() == [False, True, True]


def test_leaf_rewards_are_backed_up_to_siblings_by_their_mean():
    #      0
    #   1     2        1 has leaves 3, 4; 2 goes on to 5 alone
    forest = Forest.of(
        [-1, 0, 0, 1, 1, 2], {"reward.total": [None] * 3 + [1.0, 0.0, 0.0], "ok.total": [False] * 3 + [True] * 3}
    )
    found = Centred()(forest)["advantage"].tolist()
    assert found == [0.0, 0.25, -0.25, 0.5, -0.5, -0.25]  # row 5 has no sibling: it inherits from row 2


def test_step_rewards_add_up_with_discount():
    columns = {
        "reward.total": [None, 1.0, 0.0, 2.0, 4.0],
        "ok.total": [False, True, True, True, True],
        "discount": [1.0, 0.5, 0.5, 0.0, 0.0],
    }
    forest = Forest.of([-1, 0, 0, 1, 2], columns)
    assert Centred()(forest)["advantage"].tolist() == [0.0, 0.0, 0.0, 0.0, 0.0]  # 1 + 0.5 * 2 = 0 + 0.5 * 4


def test_a_failed_step_takes_its_whole_trajectory_out():
    columns = {
        "reward.total": [None, 0.0, None, 1.0, 0.0, 9.0],
        "ok.total": [False, True, False, True, True, True],
        "reason.total": [None, None, "reward_timeout", None, None, None],
    }
    forest = Forest.of([-1, 0, 0, 0, 1, 2], columns)
    found = Centred()(forest)
    assert found["advantage"].tolist() == [0.0, -0.5, 0.0, 0.5, -0.5, 0.0]
    assert found.valid("advantage").tolist() == [False, True, False, True, True, False]


def test_worths_equal_but_for_rounding_are_equal():
    """(0 + 1 + 1) / 3 and (1/3 + 1) / 2 differ in the last bit; divided by their spread that would be +-1."""
    #            0
    #       1         2        the means of 3, 4, 5 are 0, 1, 1; those of 6, 7 are 1/3, 1
    #     3 4 5      6 7
    leaves = [(3, 0.0), (4, 1.0), (4, 1.0), (5, 1.0), (6, 1.0), (6, 0.0), (6, 0.0), (7, 1.0)]
    parent = [-1, 0, 0, 1, 1, 1, 2, 2] + [above for above, _ in leaves]
    columns = {"reward.total": [None] * 8 + [value for _, value in leaves], "ok.total": [False] * 8 + [True] * 8}
    assert Normalised(eps=0.0)(Forest.of(parent, columns))["advantage"][1:3].tolist() == [0.0, 0.0]


def test_rows_that_do_not_count_are_marked_as_missing():
    forest = Normalised()(scored([[1.0, None, 0.0]]))
    assert forest.valid("advantage").tolist() == [False, True, False, True]


def test_missing_column_says_what_to_do():
    with pytest.raises(ColumnError, match=r"needs column 'reward\.total', but the forest has: parent.*Score it first"):
        Normalised()(Forest.of([-1, 0]))
