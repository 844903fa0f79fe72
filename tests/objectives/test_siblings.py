"""DPO between siblings: which pairs, the value and the slope at the reference, and what does not matter."""

import math

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.siblings import SiblingPreference, sibling_pairs
from milepost.testing import check_part

TREE = Forest.of(
    [-1, 0, 0, 0, 2, 2],
    {"log_prob": [None, -1.0, -2.0, -3.0, -1.0, -1.0], "advantage": [0.0, -1.0, 1.0, -1.0, 1.0, -1.0]},
)


def test_pairs_are_siblings_of_opposite_credit():
    pairs = sibling_pairs(TREE)
    assert list(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True)) == [(2, 1), (2, 3), (4, 5)]
    assert len(sibling_pairs(TREE.with_columns({"advantage": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]}))) == 0
    loose = Forest.of([-1, -1], {"advantage": [1.0, -1.0]})
    assert len(sibling_pairs(loose)) == 0  # two tasks are no siblings


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
def test_at_the_reference_the_loss_is_ln_2_and_the_gradient_is_that_of_dpo(beta):
    start = TREE["log_prob"].double()
    now = start.clone().requires_grad_()
    found = SiblingPreference(beta=beta)(TREE, now, start)
    assert found.loss.item() == pytest.approx(math.log(2))
    found.loss.backward()
    # -beta (1 - sigmoid(0)) / 3 pairs, times (+1 better, -1 worse) for each pair that a row is in
    expected = torch.tensor([0, 1, -2, 1, -1, 1]) * beta * 0.5 / 3
    torch.testing.assert_close(now.grad, expected.double())
    step, slope = 1e-6, []
    for row in range(6):
        moved = start.clone()
        moved[row] += step
        slope.append((float(SiblingPreference(beta=beta)(TREE, moved, start).loss) - math.log(2)) / step)
    torch.testing.assert_close(torch.tensor(slope).double(), expected.double(), atol=1e-5, rtol=0)


def test_a_constant_on_the_reference_of_one_prefix_changes_nothing():
    now, held = torch.tensor([0.0, -1, -1.5, -2, -1, -3]), torch.tensor([0.0, -1, -1, -1, -1, -1])
    moved = held + torch.tensor([0.0, 7, 7, 7, -3, -3])
    one, other = (SiblingPreference()(TREE, now, held).loss for held in (held, moved))
    torch.testing.assert_close(one, other)


def test_it_learns_the_order():
    now, held = torch.zeros(6, requires_grad=True), torch.zeros(6)
    rule = SiblingPreference(beta=1.0)
    for _ in range(20):
        (slope,) = torch.autograd.grad(rule(TREE, now, held).loss, now)
        now = (now - slope).detach().requires_grad_()
    found = rule(TREE, now, held)
    assert found.metrics["objective/ranked"] == 1.0
    assert found.loss < 0.2


def test_it_keeps_the_contract_and_says_what_it_needs():
    check_part(SiblingPreference())
    with pytest.raises(SettingError, match="reference"):
        SiblingPreference()(TREE, torch.zeros(6))
    with pytest.raises(SettingError, match="beta"):
        SiblingPreference(beta=0.0)
