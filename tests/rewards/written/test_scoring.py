"""Scores of trajectories, clamped and counted; and AUC against its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.errors import ShapeError
from milepost.jail.levels import opened
from milepost.programs.binding import bound
from milepost.rewards.written.scoring import WORST, auc, scored
from tests.programs.cube import CARD, program


def episode(steps):
    return torch.linspace(-1, 1, steps * 13).reshape(steps, 13), torch.zeros(steps, 4)


def test_a_step_that_is_not_finite_is_clamped_and_counted():
    body = "return math.inf if self.robot.ee[0] < 0 else self.robot.ee[0]"
    (found,) = scored(bound(program(body), CARD), opened("process"), [episode(4)])
    assert found.clamped == 2
    assert found.value[:2].tolist() == [WORST, WORST]
    assert found.value[3] == pytest.approx(float(episode(4)[0][3, 0]), abs=1e-6)


def test_a_program_that_fails_costs_its_own_trajectory():
    body = "return 1.0 / (action.sum() - 1.0)"
    good, bad = episode(3), (episode(3)[0], torch.full((3, 4), 0.25))
    source = program("assert action.sum() < 0.5\n    return 1.0")
    found = scored(bound(source, CARD), opened("process"), [good, bad])
    assert found[0].value.tolist() == [1, 1, 1]
    assert found[1].value.tolist() == [WORST] * 3
    assert "AssertionError" in found[1].reason
    (divided,) = scored(bound(program(body), CARD), opened("process"), [bad])
    assert divided.clamped == 3


def test_auc_by_hand():
    good = torch.tensor([True, False, True, False])
    assert auc(torch.tensor([3.0, 1.0, 2.0, 2.0]), good) == pytest.approx(3.5 / 4)
    assert auc(torch.ones(4), good) == 0.5
    assert math.isnan(auc(torch.ones(2), torch.tensor([True, True])))
    with pytest.raises(ShapeError, match="equally many"):
        auc(torch.ones(3), good)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=12))
def test_auc_turns_with_the_sign_and_ignores_scale(rows):
    score, good = torch.tensor([float(one) for one, _ in rows]), torch.tensor([flag for _, flag in rows])
    found = auc(score, good)
    if not math.isnan(found):
        assert auc(-score, good) == pytest.approx(1 - found)
        assert auc(2 * score + 5, good) == found
