"""A few steps in a small world raise the payoff, and a card that lacks something is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from milepost.credit.group import LeaveOneOut
from milepost.objectives.clipped import Clipped
from milepost.recipe import Card, Train
from milepost.sampling.choice import Uniform
from milepost.sampling.independent import Independent
from milepost.testing import recipes
from milepost.testing.worlds import Letters, Payoff, TabularPolicy, expected_payoff, letter_task

JOB = Train(
    choice=Uniform(),
    sampler=Independent(width=8),
    rewards=(Payoff(),),
    weights=(1.0,),
    credit=LeaveOneOut(),
    objective=Clipped(),
)
CARD = Card(
    title="A",
    paper="B",
    year=2024,
    domains=("text",),
    summary="C",
    parts={"credit": "D"},
    claims={"worlds are exact": "tests/testing/test_worlds.py::test_hand_example"},
    bibtex="@article{a}",
)
TESTS = Path(__file__).parents[1]


def test_learning_raises_the_expected_payoff():
    learned = recipes.learn(JOB, steps=40).policy
    fresh = TabularPolicy.random("abc", key=recipes._KEY, length=2)
    task = letter_task("t", prompt="a", payoff={"a" + letter: 1.0 for letter in "abc"})
    before, after = (float(expected_payoff(one, Letters(), task).detach()) for one in (fresh, learned))
    assert after > before + 0.2


def test_a_right_job_and_card_pass():
    recipes._learns(JOB)
    recipes._card(CARD)
    recipes._claims(CARD, TESTS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"summary": ""}, "summary"),
        ({"year": 24}, "year"),
        ({"domains": ("prose",)}, "domains"),
        ({"job": "dream"}, "job"),
        ({"bibtex": "article"}, "bibtex"),
    ],
)
def test_a_card_that_lacks_something_is_named(change, says):
    with pytest.raises(AssertionError, match=says):
        recipes._card(dataclasses.replace(CARD, **change))


@pytest.mark.parametrize("where", ["tests/nowhere.py::test_a", "tests/testing/test_worlds.py::test_b"])
def test_a_claim_without_a_test_is_named(where):
    with pytest.raises(AssertionError, match="does not exist"):
        recipes._claims(dataclasses.replace(CARD, claims={"it flies": where}), TESTS)


def test_a_job_that_learns_nothing_is_named():
    with pytest.raises(AssertionError, match="changed no weight"):
        recipes._learns(dataclasses.replace(JOB, rewards=(Payoff(),), weights=(0.0,)))
