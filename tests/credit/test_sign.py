"""A gain on the positive side of credit: limits, sums, and the methods that are one setting away."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from milepost.credit.asymmetric import Asymmetric, Smoothed
from milepost.credit.compare import siblings
from milepost.credit.difficulty import Unweighted
from milepost.credit.group import Normalised
from milepost.credit.sign import Constant, Limited, SignGain, bounded_sums, limited_gain, sign_gain
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.testing.answers import answers_credit, solved


def wins(count: int, size: int) -> list[float]:
    return [1.0] * count + [0.0] * (size - count)


def batch_with(eighths: int) -> Forest:
    """Groups of eight with a success rate of eighths / 8 together: two mixed, two that are dead or nearly so."""
    near = min(eighths, 8 - eighths, 2)
    return solved([wins(count, 8) for count in (eighths, eighths - near, eighths + near)])


def test_gain_limits_and_floor():
    omega = torch.tensor([0.0, 0.05, 0.25, 0.5, 1.0])
    assert_close(limited_gain(omega, alpha=0.5, floor=0.0), torch.tensor([0.0, 0.1, 0.5, 1.0, 1.0]))
    assert_close(limited_gain(omega, alpha=1.0, floor=0.2), torch.tensor([0.2, 0.2, 0.25, 0.5, 1.0]))
    assert torch.equal(limited_gain(omega[1:], alpha=1e-9, floor=0.0), torch.ones(4))
    credit = torch.tensor([2.0, -2.0, 0.0])
    assert sign_gain(credit, torch.tensor([3.0])).tolist() == [6.0, -2.0, 0.0]
    assert torch.equal(sign_gain(credit, torch.tensor([1.0])), credit)


def test_promised_sums_hold():
    forest = batch_with(3)
    for rule in (Asymmetric(), Smoothed(), SignGain(positive=3.0), Asymmetric(gain=Limited(floor=0.5))):
        promise = rule.sums(rule(forest))
        total = torch.zeros(promise.compared.groups, dtype=torch.float64)
        total.index_add_(0, siblings(forest).group, rule(forest)["advantage"][3:].double())
        assert bool((total >= promise.low - 1e-5).all())
        assert bool((total <= promise.high + 1e-5).all())


def test_constant_gain_of_a_tenth_is_the_negative_dominant_control():
    forest = batch_with(3)
    found = Asymmetric(weight=Unweighted(), gain=Constant(positive=0.1))(forest)["advantage"]
    grpo = Normalised()(forest)["advantage"]
    assert_close(found, torch.where(grpo > 0, grpo / 10, grpo))
    assert torch.equal(found, SignGain(rule=Normalised(), positive=0.1)(forest)["advantage"])


def test_amplification_and_suppression_by_hand():
    forest = solved([[1.0, 0.0]])
    assert answers_credit(SignGain(rule=Normalised(eps=0.0), positive=3.0)(forest)) == [3.0, -1.0]  # R3L's kind
    assert answers_credit(SignGain(rule=Normalised(eps=0.0), positive=0.0)(forest)) == [0.0, -1.0]  # failures alone


def test_bounded_sums_by_hand():
    compared = siblings(solved([[1.0, 0.0, 0.0]]))
    two = torch.full((compared.groups,), 2.0, dtype=torch.float64)
    promise = bounded_sums(compared, torch.tensor([2.0, -1.0, -1.0]), two / 2, two)
    assert (promise.low[0], promise.high[0]) == (0.0, 2.0)


def test_settings_are_checked():
    for make in (lambda: Constant(positive=-1.0), lambda: SignGain(positive=-1.0), lambda: Limited(alpha=0.0)):
        with pytest.raises(SettingError):
            make()
