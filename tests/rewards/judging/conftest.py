"""A chat model that says what it is told to, and a rubric."""

from dataclasses import dataclass, field

import pytest

from milepost.part import ChatReply
from milepost.rewards.judging.judge import Case, Rubric

RUBRIC = Rubric(name="sound", asks="Is the step sound?", criteria=("It follows.", "It helps."))


@dataclass
class Scripted:
    """Answers with `act(request)`: a reply, or the text of one; remembers what it was asked."""

    act: object
    model: str = "scripted"
    asked: list = field(default_factory=list)

    def reply(self, requests):
        self.asked += requests
        found = [self.act(request) for request in requests]
        return [
            ChatReply(end="stop", text=one, tokens=3, seconds=0.5) if isinstance(one, str) else one for one in found
        ]


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture
def rubric():
    return RUBRIC


@pytest.fixture
def case():
    """Makes a case out of named texts."""

    def make(*candidates, **material):
        return Case(rubric=RUBRIC, material=material, candidates=candidates)

    return make
