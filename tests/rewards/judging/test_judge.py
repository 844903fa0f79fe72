"""Records of judgements: what they refuse, and places of scores."""

import itertools

import pytest

from milepost.errors import SettingError
from milepost.rewards.judging.judge import Case, Cost, Judgement, Rubric, check_candidates, places


def test_a_judgement_has_an_answer_or_a_reason():
    assert Judgement(answer=0.0).unusable is None, "0 is an answer"
    for wrong in ({"answer": None}, {"answer": 1.0, "unusable": "reward_error"}):
        with pytest.raises(SettingError):
            Judgement(**wrong)


def test_costs_add_up():
    assert Cost(calls=1, tokens=2, seconds=0.5) + Cost(calls=3, tokens=4, seconds=1.0) == Cost(
        calls=4, tokens=6, seconds=1.5
    )


def test_a_rubric_is_known_by_name_and_version():
    rubric = Rubric(name="sound", version=2, asks="?", scale=(("bad", -2.0), ("good", 3.0)))
    assert (rubric.identity, rubric.range) == ("sound@2", (-2.0, 3.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no name"},
        {"name": ""},
        {"scale": ()},
        {"scale": (("a", 0.0), ("a", 1.0))},
        {"scale": (("", 0.0),)},
        {"scale": ((" a", 0.0),)},
    ],
)
def test_rubrics_are_checked(wrong):
    with pytest.raises(SettingError):
        Rubric(**{"name": "sound", "asks": "?", **wrong})


def test_number_of_candidates_is_checked(case):
    check_candidates(case("a", "b"), 2, 2)
    for wrong in (case(), case("a"), case("a", "b", "c")):
        with pytest.raises(SettingError, match="candidates"):
            check_candidates(wrong, 2, 2)
    check_candidates(case("a", "b", "c"), 2)
    assert isinstance(case(), Case)


def test_places_by_hand():
    assert places([0.1, 0.9, 0.5]) == (3.0, 1.0, 2.0)
    assert places([1.0, 0.0, 1.0]) == (1.5, 3.0, 1.5)
    assert places([7.0] * 4) == (2.5,) * 4
    assert places([]) == ()


def test_places_sum_to_the_same_and_follow_the_candidates():
    for scores in itertools.product((0.0, 0.5, 1.0), repeat=4):
        found = places(scores)
        assert sum(found) == 10
        assert places(scores[::-1]) == found[::-1]
