"""A pull towards a teacher's steps beside an objective that does not see them."""

import pytest
import torch

from milepost.columns import Origin
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.imitation import Imitating
from milepost.testing.parts import check_part, scored_batch


def taught():
    """Two steps of the policy and two of a teacher, of weights 1 and 3."""
    columns = {
        "log_prob": [None, -1.0, -1.0, None, None],
        "advantage": [None, 1.0, -1.0, None, None],
        "origin": [int(Origin.ENVIRONMENT), 0, 0, int(Origin.TEACHER), int(Origin.TEACHER)],
        "weight": [None, None, None, 1.0, 3.0],
    }
    return Forest.of([-1, 0, 0, 0, 0], columns), torch.tensor([0.0, -0.9, -1.1, -2.0, -0.5])


def test_by_hand():
    """The mean of 1 * 2.0 and 3 * 0.5, times 0.1, on top of the objective without the teacher."""
    forest, log_prob = taught()
    plain = Clipped()(forest.select(torch.arange(3)), log_prob[:3])
    found = Imitating(objective=Clipped(), coefficient=0.1)(forest, log_prob)
    assert float(found.loss) == pytest.approx(float(plain.loss) + 0.1 * (2.0 + 1.5) / 2)
    assert found.metrics["objective/imitation"] == pytest.approx(1.75)
    assert found.metrics["objective/trained_units"] == 2


def test_without_a_teacher_it_is_the_objective():
    forest, log_prob = taught()
    some = forest.select(torch.arange(3))
    assert torch.equal(Imitating(objective=Clipped())(some, log_prob[:3]).loss, Clipped()(some, log_prob[:3]).loss)


def test_the_contract():
    check_part(Imitating(objective=Clipped()), forest=scored_batch(["total"]))
    with pytest.raises(SettingError, match="coefficient"):
        Imitating(objective=Clipped(), coefficient=-1.0)
