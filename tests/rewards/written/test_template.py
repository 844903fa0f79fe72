"""The template writes programs that pass, and adds what is wished for."""

import pytest

from milepost.environments.manipulation.cards import card
from milepost.errors import SettingError
from milepost.part import ChatRequest
from milepost.programs.screening import refused
from milepost.rewards.written.prompt import Round, code_of, messages
from milepost.rewards.written.template import TERMS, Template


def written(template, rounds=()):
    (reply,) = template.reply([ChatRequest(messages=messages(card(), "Press.", rounds))])
    return code_of(reply.text)


def test_it_writes_what_passes():
    source = written(Template(terms=tuple(TERMS)))
    assert refused(source, card()) == ()
    assert source.count("reward -=") == 4


def test_a_wish_adds_a_term():
    poor = Template(terms=("reach",))
    assert "self.goal" not in written(poor)
    asked = written(poor, [Round(source="x", behaviour="It rests at the goal-less handle.", wish="add the goal term")])
    assert "self.goal.position" in asked
    again = written(poor, [Round(source="x", behaviour="The goal was missed.")])
    assert "self.goal" not in again


def test_where_the_hand_is_what_is_moved():
    (reply,) = Template().reply([ChatRequest(messages=messages(card(), "Move the gripper to the goal."))])
    assert "obj1" not in reply.text
    assert "self.robot.ee_position - self.goal.position" in reply.text


def test_terms_are_known():
    with pytest.raises(SettingError, match="terms"):
        Template(terms=("magic",))
