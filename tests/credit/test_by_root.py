"""Credit over all leaves of a root: equal to sibling credit on flat batches, known values on trees."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from milepost import keys
from milepost.credit.by_root import ByRoot, trajectories
from milepost.credit.group import Centred, LeaveOneOut, Normalised
from milepost.forest import Forest
from milepost.testing.answers import scored


@pytest.mark.parametrize("rule", [Normalised(), Centred(), LeaveOneOut()])
def test_flat_batch_is_sibling_credit(rule):
    forest = scored([[1.0, 0.0, 0.5, None], [2.0], [0.0, 3.0]])
    ours, siblings = ByRoot(rule=rule)(forest), rule(forest)
    assert torch.equal(ours["advantage"], siblings["advantage"])
    assert torch.equal(ours.valid("advantage"), siblings.valid("advantage"))


def test_hand_example_shared_step_gets_the_mean():
    #      0
    #   1     2
    #  3 4
    columns = {"reward.total": [None, None, 0.0, 3.0, 0.0], "ok.total": [False, False, True, True, True]}
    found = ByRoot(rule=Centred())(Forest.of([-1, 0, 0, 1, 1], columns))["advantage"].tolist()
    assert found == [0.0, 0.5, -1.0, 2.0, -1.0]


def test_returns_add_discounted_rewards_along_the_path():
    columns = {
        "reward.total": [None, 1.0, 2.0, 4.0, 5.0],
        "ok.total": [False, True, True, True, True],
        "discount": [1.0, 0.5, 0.25, 0.0, 0.0],
    }
    compared = trajectories(Forest.of([-1, 0, 1, 2, 1], columns))
    assert compared.row.tolist() == [3, 4]
    assert compared.value.tolist() == [1 + 0.5 * 2 + 0.125 * 4, 1 + 0.5 * 5]


def test_leaves_of_every_root_sum_to_zero_wherever_they_branch():
    draws = keys.uniform([5], 600)[0]
    parent = [-1, -1] + [int(draws[i] * (i + 2)) for i in range(298)]
    leaf = torch.bincount(torch.tensor(parent[2:]), minlength=300) == 0
    forest = Forest.of(parent, {"reward.total": torch.from_numpy(draws[300:]).float(), "ok.total": leaf})
    rule = ByRoot(rule=Normalised())
    credited = rule(forest)
    compared = rule.compare(forest)
    total = torch.zeros(300, dtype=torch.float64).index_add_(
        0, compared.group, credited["advantage"][compared.row].double()
    )
    assert_close(total, torch.zeros(300, dtype=torch.float64), rtol=0, atol=1e-5)
    assert len(compared.row) > 100


def test_failed_leaves_count_nowhere_and_leave_the_shared_step_alone():
    columns = {
        "reward.total": [None, None, 0.0, 3.0, None],
        "ok.total": [False, False, True, True, False],
        "reason.total": [None, None, None, None, "reward_error"],
    }
    found = ByRoot(rule=Centred())(Forest.of([-1, 0, 0, 1, 1], columns))
    assert found["advantage"].tolist() == [0.0, 1.5, -1.5, 1.5, 0.0]
    assert found.valid("advantage").tolist() == [False, True, True, True, False]


def test_empty_batch():
    empty = Forest.of([], {"reward.total": [], "ok.total": torch.zeros(0, dtype=torch.bool)})
    assert len(ByRoot()(empty)["advantage"]) == 0
