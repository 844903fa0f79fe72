"""An objective with a critic and an entropy bonus: by hand, at its limits, and with the gradient of each part."""

import pytest
import torch

from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.objectives.actor_critic import ActorCritic, value_loss
from milepost.objectives.clipped import Clipped
from milepost.policies.actor.actor import Appraisal
from milepost.testing.parts import check_part

FOREST = Forest.of(
    [-1, 0, 1],
    {
        "log_prob": [None, -1.0, -1.0],
        "advantage": [None, 1.0, -1.0],
        "feature.return": torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 1.0]]),
    },
)


def said(*, value=((9.0, 9.0), (1.0, 0.0), (1.0, 0.0)), log=(0.0, -1.0, -1.0)):
    return Appraisal(
        log_prob=torch.tensor(log, requires_grad=True),
        entropy=torch.tensor([9.0, 0.5, 0.7], requires_grad=True),
        value=torch.tensor(value, requires_grad=True),
    )


def test_by_hand():
    """Policy: ratios 1, credit 1 and -1: 0. Critic: (1 + 0 + 9 + 1) / (2 * 4). Entropy: 0.6."""
    found = ActorCritic(value_weight=0.5, entropy=0.1).appraised(FOREST, said())
    assert float(found.loss) == pytest.approx(0.5 * 11 / 8 - 0.06)
    assert found.metrics["objective/value_loss"] == pytest.approx(11 / 8)
    assert found.metrics["objective/entropy"] == pytest.approx(0.6)


def test_each_part_has_its_own_gradient_and_roots_have_none():
    given = said()
    ActorCritic(value_weight=1.0, entropy=0.1).appraised(FOREST, given).loss.backward()
    assert given.value.grad.tolist() == [[0, 0], [-0.25, 0], [-0.75, -0.25]]
    assert given.entropy.grad.tolist() == pytest.approx([0, -0.05, -0.05])
    assert given.log_prob.grad.tolist() == pytest.approx([0, -0.5, 0.5])


def test_limits():
    given, plain = said(log=(0.0, -0.5, -1.4)), ActorCritic(value_weight=0.0, entropy=0.0)
    wanted = Clipped()(FOREST, given.log_prob).loss
    assert float(plain.appraised(FOREST, given).loss) == pytest.approx(float(wanted))
    assert float(plain(FOREST, given.log_prob).loss) == pytest.approx(float(wanted))
    counts = torch.zeros(2, dtype=torch.bool)
    assert float(value_loss(torch.ones(2, 1), torch.zeros(2, 1), counts)) == 0


def test_a_critic_without_targets_is_told():
    with pytest.raises(ColumnError, match=r"credit\.returns"):
        ActorCritic().appraised(FOREST.without("feature.return"), said())


def test_the_common_promises():
    check_part(ActorCritic())
