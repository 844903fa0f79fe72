"""The card of the arm: places in the observation are those of the simulator's layout."""

import pytest

from milepost.environments.manipulation.cards import NAMES, card, sentence
from milepost.errors import UnknownName


def test_places():
    symbols = card().symbols
    assert symbols["self.robot.ee_position"] == "obs[0:3]"
    assert symbols["self.robot.gripper_openness"] == "obs[3]"
    assert symbols["self.obj1.position"] == "obs[4:7]"
    assert symbols["self.goal.position"] == "obs[36:39]"


def test_every_task_has_a_sentence():
    assert all(sentence(name).endswith(".") for name in NAMES)
    with pytest.raises(UnknownName):
        sentence("juggle")
