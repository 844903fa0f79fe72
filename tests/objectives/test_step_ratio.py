"""One ratio per step."""

from __future__ import annotations

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.step_ratio import StepClipped
from milepost.ragged import Ragged
from milepost.testing import check_part
from milepost.testing.parts import scored_batch


def steps(log_probs, advantage):
    """One root and one step per list of token log-probabilities."""
    ids = Ragged.of([[0], *([0] * len(one) for one in log_probs)], torch.int32)
    given = [0.0, *(value for one in log_probs for value in one)]
    train = torch.ones(len(given), dtype=torch.bool)
    train[0] = False
    columns = {
        "tokens.id": ids,
        "tokens.train": Ragged(train, ids.offsets),
        "tokens.log_prob": Ragged(torch.tensor(given), ids.offsets),
        "advantage": [None, *advantage],
    }
    return Forest.of([-1] + [0] * len(log_probs), columns)


def test_contract():
    check_part(StepClipped())


def test_hand_example_the_ratio_is_a_product_and_steps_weigh_the_same():
    forest = steps([[-1.0, -1.0], [-1.0]], [1.0, -1.0])
    shift = torch.tensor([0.0, 0.05, 0.04, -0.1], dtype=torch.float64)
    found = StepClipped()(forest, forest["tokens.log_prob"].double() + shift)
    assert float(found.loss) == pytest.approx(-(torch.e**0.09 - torch.e**-0.1) / 2, abs=1e-6)


def test_a_step_is_clipped_as_a_whole():
    forest = steps([[-1.0, -1.0], [-1.0]], [1.0, 1.0])
    log_prob = forest["tokens.log_prob"].double() + torch.tensor([0.0, 0.15, 0.15, 0.1])
    log_prob = log_prob.clone().requires_grad_()
    found = StepClipped()(forest, log_prob)
    (slope,) = torch.autograd.grad(found.loss, log_prob)
    assert slope[1:3].tolist() == [0, 0], "neither token alone passes 1.2, the step does"
    assert slope[3] != 0
    assert found.metrics["objective/clip_fraction"] == pytest.approx(0.5)


def test_steps_of_one_token_give_the_clipped_surrogate():
    forest = steps([[-1.0], [-2.0], [-0.5]], [1.0, -0.5, 0.2])
    log_prob = forest["tokens.log_prob"].double() + torch.tensor([0.0, 0.3, -0.4, 0.1])
    assert float(StepClipped()(forest, log_prob).loss) == pytest.approx(float(Clipped()(forest, log_prob).loss))


def test_at_ratio_1_it_is_the_mean_credit_of_steps():
    forest = scored_batch(("total",))
    valid = forest.valid("advantage") & (forest.parent >= 0)
    loss = StepClipped()(forest, forest["tokens.log_prob"].double()).loss
    assert float(loss) == pytest.approx(-float(forest["advantage"][valid].mean()), abs=1e-6)


def test_settings():
    for bad in ({"low": 0.0}, {"high": 0.0}):
        with pytest.raises(SettingError):
            StepClipped(**bad)
