import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.credit.compare import worth as worth_of_forest
from milepost.report.stored import groups, steps
from milepost.report.stored.steps import Steps
from tests.report import worlds

values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9)


def test_hand_example():
    found = groups.spread([1.0, 0.0, None, 0.0, 0.0])
    assert (found.count, found.mean) == (4, 0.25)
    assert found.std == pytest.approx(math.sqrt(3) / 4)
    assert found.sample_std == pytest.approx(0.5)


@given(values)
def test_spread_against_numpy(numbers):
    found = groups.spread(numbers)
    assert found.mean == pytest.approx(np.mean(numbers), abs=1e-9)
    assert found.std == pytest.approx(np.std(numbers), abs=1e-9)


@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 9))
def test_equal_numbers_have_no_spread(value, count):
    assert groups.spread([value] * count).std == 0.0


def test_nothing_counts():
    found = groups.spread([None, None])
    assert found.count == 0
    assert math.isnan(found.mean)


@given(values, st.floats(0, 1))
def test_quantile_against_numpy(numbers, probability):
    assert groups.quantile(numbers, probability) == pytest.approx(np.quantile(numbers, probability), abs=1e-9)


def test_quantile_of_nothing():
    assert math.isnan(groups.quantile([], 0.5))


def test_groups_of_a_flat_forest():
    table = {"reward.total": np.array([0, 1, 1, 1, 0.0]), "ok.total": np.array([False, True, True, True, False])}
    forest = Steps(parent=np.array([-1, 0, 0, -1, 3]), numbers=table)
    first, second = groups.groups(forest, "total")
    assert first.dead
    assert first.rewards == (1.0, 1.0)
    assert (second.failed, second.dead) == (1, False)


def test_what_steps_earn_is_added_up_and_their_credit_averaged():
    numbers = {"reward.total": [0, 0.5, 1.5, 0.25, 0], "ok.total": [0, 1, 1, 1, 0], "advantage": [0, 1, -3, 2, 4]}
    valid = {"advantage": np.array([False, True, True, True, True])}
    forest = Steps(
        parent=np.array([-1, 0, 1, 0, 3]),
        numbers={name: np.array(column, float) for name, column in numbers.items()},
        valid=valid,
    )
    (found,) = groups.groups(forest, "total")
    assert found.leaves == (2, 4)
    assert found.rewards == (2.0, 0.25)
    assert [groups.mean_credit(forest, leaf) for leaf in found.leaves] == [-1.0, 3.0]


def test_one_failed_step_leaves_a_trajectory_without_a_return():
    table = {"reward.total": np.array([0, 1, 0.0]), "ok.total": np.array([False, True, False])}
    told = {"reason.total": [None, None, "timeout"]}
    forest = Steps(parent=np.array([-1, 0, 1]), numbers=table, texts=told)
    assert groups.returned(forest, 2, "total") is None
    assert groups.returned(forest, 1, "total") == 1.0


def test_a_lone_answer_is_not_a_dead_group():
    numbers = {"reward.a": np.array([0.0, 1.0]), "ok.a": np.array([False, True])}
    (found,) = groups.groups(Steps(parent=np.array([-1, 0]), numbers=numbers), "a")
    assert not found.dead


def test_without_a_reward_nothing_failed():
    (found,) = groups.groups(Steps(parent=np.array([-1, 0, 0])), None)
    assert (found.scored, found.failed, found.dead) == (False, 0, False)


def test_a_root_without_children_is_no_group():
    assert groups.groups(Steps(parent=np.array([-1, -1])), None) == ()


@pytest.mark.parametrize("seed", range(3))
def test_worth_is_that_of_group_credit(tmp_path, seed):
    from milepost import storage

    forest = worlds.tree(seed)
    storage.write(forest, tmp_path / "f")
    found = groups.worth(steps.read(tmp_path / "f"), 0, "total")
    truth = worth_of_forest(forest)
    assert list(found) == list(range(len(forest)))
    for row, value in found.items():
        assert (value is not None) == bool(truth.ok[row])
        if value is not None:
            torch.testing.assert_close(torch.tensor(value, dtype=torch.float64), truth.value[row], atol=1e-6, rtol=0)
