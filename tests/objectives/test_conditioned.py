"""The clip that depends on the credit: its bounds, its limit, its numbers."""

import math

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.conditioned import ConditionedClip, bounded_surrogate, standing
from milepost.testing.parts import check_part, scored_batch


def tree():
    """Two depths of two and four nodes, credits of both signs; the log-ratios go far beyond every bound."""
    credit = [None, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5]
    forest = Forest.of([-1, 0, 0, 1, 1, 2, 2], {"log_prob": [None] + [-1.0] * 6, "advantage": credit})
    return forest, torch.tensor([0.0, -0.7, -1.3, -0.8, -1.6, -0.99, -1.01], requires_grad=True)


def test_standing_by_hand():
    found = standing(torch.tensor([1.0, -4.0, 0.0]), torch.tensor([0, 0, 1]), 2)
    assert found.tolist() == pytest.approx([0.25, -1.0, 0.0])


def test_no_sensitivity_is_the_plain_clip():
    """Bit for bit, loss and gradient."""
    found = []
    for part in (Clipped(low=0.1, high=0.2), ConditionedClip(low=0.1, high=0.2, sensitivity=0.0)):
        forest, log_prob = tree()
        loss = part(forest, log_prob).loss
        loss.backward()
        found.append((loss.detach(), log_prob.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_bounds_by_hand():
    """Of the best the ratio may rise to 1 + 0.2 * 1.5, of the worst fall to 1 - 0.1 * 1.5, of z = 1/4 rise to 1.225."""
    forest, log_prob = tree()
    part = ConditionedClip(low=0.1, high=0.2, sensitivity=0.5)
    ratio = (log_prob.detach() + 1).exp()
    wanted = [
        min(ratio[1], 1.3), -max(ratio[2], 0.85), 2 * min(ratio[3], 1.3), -2 * max(ratio[4], 0.85),
        0.5 * min(ratio[5], 1.225), -0.5 * max(ratio[6], 0.8875),
    ]  # fmt: skip
    # each of the first two nodes is on two trajectories, so every depth weighs the same
    loss = -(sum(wanted[:2]) / 4 + sum(wanted[2:]) / 8)
    assert float(part(forest, log_prob.detach()).loss) == pytest.approx(float(loss), rel=1e-5)


def test_bounds_never_cross_one():
    z = torch.linspace(-1, 1, 21).double()
    low, high = 0.5 * (1 - 0.999 * z), 3.0 * (1 + 0.999 * z)
    assert bool((low < 1).all())
    assert bool((low > 0).all())
    assert bool((high > 0).all())
    inside = bounded_surrogate(torch.zeros(21), torch.ones(21), low, high)
    assert inside.tolist() == [1.0] * 21


def test_the_share_that_is_clipped():
    forest, log_prob = tree()
    found = ConditionedClip(low=0.1, high=0.2).sensitivity, ConditionedClip(low=0.1, high=0.2)(forest, log_prob)
    assert found[0] == 0.5
    clipped = [math.exp(0.3) > 1.3, math.exp(-0.3) < 0.85, math.exp(0.2) > 1.3, math.exp(-0.6) < 0.85, False, False]
    weight = [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    wanted = sum(w * c for w, c in zip(weight, clipped, strict=True))
    assert found[1].metrics["objective/clip_fraction"] == pytest.approx(wanted)


def test_the_contract():
    check_part(ConditionedClip(), forest=scored_batch(["total"]))


def test_ranges():
    for change in ({"low": 0.0}, {"low": 0.7}, {"high": 0.0}, {"sensitivity": 1.0}, {"sensitivity": -0.1}):
        with pytest.raises(SettingError, match=next(iter(change))):
            ConditionedClip(**change)
