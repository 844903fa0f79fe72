"""Rules as a judge."""

import math

import pytest

from milepost.errors import MissingExtra, SettingError
from milepost.rewards.judging.rules import RuleJudge


def length(case):
    return len(case.material.get("candidate", case.material.get("step", ""))) - 1.0


def test_scores_preferences_and_places_come_from_one_function(case):
    judge = RuleJudge(rules={"sound": length})
    assert [one.answer for one in judge.score([case(step="ab"), case(step="")])] == [1.0, -1.0]
    assert [one.answer for one in judge.pairwise([case("a", "ab"), case("ab", "a"), case("a", "b")])] == [0.0, 1.0, 0.5]
    assert judge.rank([case("a", "ab", "")])[0].answer == (2.0, 1.0, 3.0)


def test_what_a_rule_raises_costs_its_own_case(case):
    judge = RuleJudge(rules={"sound": lambda one: 1 / len(one.material["step"])})
    good, bad = judge.score([case(step="a"), case(step="")])
    assert good.answer == 1.0
    assert bad.answer is None
    assert bad.unusable.startswith("reward_error: ZeroDivisionError")


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.5])
def test_a_number_outside_the_scale_is_no_verdict(case, value):
    (one,) = RuleJudge(rules={"sound": lambda _: value}).score([case(step="a")])
    assert one.answer is None
    assert "expected a number in [-1, 1]" in one.unusable


def test_a_rubric_without_a_rule_says_which_there_are(case):
    (one,) = RuleJudge(rules={"other": length}).score([case(step="a")])
    assert "other" in one.unusable


def test_texts(case):
    judge = RuleJudge(rules={}, texts={"sound": lambda one: one.material["step"].upper()})
    assert judge.complete([case(step="ab")])[0].answer == "AB"


def test_errors_of_the_setup_stop_the_run(case):
    def needs(_):
        raise MissingExtra("no")

    with pytest.raises(MissingExtra):
        RuleJudge(rules={"sound": needs}).score([case()])
    with pytest.raises(SettingError):
        RuleJudge(rules={"sound": length}).pairwise([case("a")])
    with pytest.raises(SettingError):
        RuleJudge(rules={"sound": length}).rank([case("a")])


def test_a_rule_that_fails_on_one_candidate_leaves_the_pair_without_a_verdict(case):
    judge = RuleJudge(rules={"sound": lambda one: 1 / len(one.material["candidate"])})
    assert judge.pairwise([case("a", "")])[0].answer is None
    assert judge.rank([case("a", "")])[0].answer is None
