"""Two credits, two losses: sums, limits, and how it differs from the sum of the credits."""

import pytest
import torch

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.combined.added import WithCredit
from milepost.objectives.combined.exact_kl import ExactKL


class Fixed:
    """Writes the given credit."""

    reads, writes = (), ("advantage",)

    def __init__(self, advantage):
        self.advantage = advantage

    def __call__(self, forest):
        return forest.with_columns({"advantage": self.advantage})


NOW = torch.tensor([0.0, -0.5, -1.0])


def steps():
    return Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -1.0], "advantage": [None, 1.0, -1.0]})


def loss_of(part):
    return float(part(steps(), NOW).loss)


def test_losses_are_added_with_their_weights():
    second = Fixed([None, -2.0, 0.5])
    alone = float(Clipped()(second(steps()), NOW).loss)
    found = WithCredit(objective=Clipped(), credit=second, first_weight=0.5, second_weight=3.0)
    assert loss_of(found) == pytest.approx(0.5 * loss_of(Clipped()) + 3 * alone)
    assert found(steps(), NOW).metrics["objective/second_loss"] == pytest.approx(alone)


def test_without_the_second_it_is_the_objective_exactly():
    assert loss_of(WithCredit(objective=Clipped(), credit=Fixed(None), second_weight=0.0)) == loss_of(Clipped())


def test_clipping_sees_each_credit_by_itself():
    """Credits 1 and -1 on one step whose ratio is far above 1: the sum has no gradient, the two losses have."""
    forest = Forest.of([-1, 0], {"log_prob": [None, -1.0], "advantage": [None, 1.0]})
    now = torch.tensor([0.0, 0.0], requires_grad=True)
    WithCredit(objective=Clipped(), credit=Fixed([None, -1.0]))(forest, now).loss.backward()
    assert float(now.grad[1]) == pytest.approx(float(torch.tensor(1.0).exp()))


def test_it_needs_what_the_objective_needs():
    assert not WithCredit(objective=Clipped(), credit=Fixed(None)).needs_reference
    assert WithCredit(objective=ExactKL(objective=Clipped()), credit=Fixed(None)).needs_reference
    with pytest.raises(SettingError):
        WithCredit(objective=Clipped(), credit=Fixed(None), second_weight=-1.0)
