"""Each check sees its own fault, and a sound reward passes all."""

import math

import pytest

from milepost.evaluation.diagnosis.findings import Reply, Thresholds, examine, full_marks, rank_correlation
from milepost.evaluation.diagnosis.questions import Case, questions

CASES = [Case(record={}, reference=str(17 * number + 13)) for number in range(12)]
ASKED = questions(CASES)


def sound(question):
    return float(question.text.strip() == CASES[question.case].reference)


def problems(rule, again=None, seconds=(0.01,)):
    replies = [said(rule(question)) for question in ASKED]
    others = [said((again or rule)(question)) for question in ASKED]
    return [finding.check for finding in examine(ASKED, replies, others, seconds) if not finding.ok]


def said(value):
    return Reply(value=None, reason="reward_error: no") if value is None else Reply(value=value)


def test_a_sound_reward_has_no_problem():
    assert problems(sound) == []
    assert problems(lambda question: 5 * sound(question) - 2) == []


NOTHING_IS_WORTH_MORE = [
    "accepts references",
    "nonsense is not paid",
    "wrong answers are not paid",
    "no constant pays",
    "not tied",
]
"""What is found of a reward that is the same for everything: a right answer earns no more than nonsense."""


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (lambda q: 1.0, NOTHING_IS_WORTH_MORE),
        (lambda q: float(q.text != ""), ["nonsense is not paid", "wrong answers are not paid", "no constant pays"]),
        (lambda q: sound(q) * (q.case % 3 > 0), ["accepts references", "not tied"]),
        (lambda q: float(q.kind in ("reference", "changed", "cut")), ["wrong answers are not paid"]),
        (lambda q: float(q.kind == "reference" or q.text == "0"), ["no constant pays"]),
        (lambda q: sound(q) + 0.001 * q.words * (q.kind == "length"), ["length does not pay"]),
        (lambda q: None if q.kind == "empty" else sound(q), ["never fails"]),
        (lambda q: 0.0, NOTHING_IS_WORTH_MORE),
        (lambda q: -1.0, NOTHING_IS_WORTH_MORE),
        (lambda q: None, ["never fails", "accepts references"]),
    ],
)
def test_each_fault_is_seen(rule, found):
    assert set(problems(rule)) == set(found)


def test_unstable_and_slow():
    assert problems(sound, again=lambda q: sound(q) + (q.case == 3)) == ["stable"]
    assert problems(sound, again=lambda q: None if q.case == 3 else sound(q)) == ["stable"]
    assert problems(sound, seconds=(0.1, 1.5)) == ["fast"]


def test_a_problem_names_an_example():
    replies = [said(1.0) for _ in ASKED]
    nonsense = next(one for one in examine(ASKED, replies, replies, [0.1]) if one.check == "nonsense is not paid")
    assert "such as 'xx' to task 0: 1" in nonsense.text
    assert nonsense.measure == 1.0


def test_thresholds_decide():
    replies = [said(sound(q) or float(q.kind == "cut")) for q in ASKED]
    strict = examine(ASKED, replies, replies, [0.1], Thresholds(wrong_paid=0.1))
    lenient = examine(ASKED, replies, replies, [0.1], Thresholds(wrong_paid=0.5))
    assert [one.check for one in strict if not one.ok] == ["wrong answers are not paid"]
    assert all(one.ok for one in lenient)


def test_nothing_asked_is_no_problem():
    findings = examine([], [], [], [])
    assert all(one.ok for one in findings)
    assert math.isnan(full_marks([], []))


def test_full_marks_are_those_of_references():
    replies = [said(9.0 if q.kind == "nonsense" else sound(q)) for q in ASKED]
    assert full_marks(ASKED, replies) == 1.0


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 2], [1, 2, 1, 2]) == pytest.approx(0)
    assert rank_correlation([1, 2, 3], [1, 1, 1]) == 0
    assert rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.9486832980505138)  # as SciPy has it
