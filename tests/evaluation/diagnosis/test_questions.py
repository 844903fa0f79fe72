"""Wrong answers are wrong, and every case is asked about in every way that applies."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from milepost.evaluation.diagnosis.questions import CONSTANTS, LENGTHS, NONSENSE, Case, another, changed, questions


@pytest.mark.parametrize(
    ("text", "found"),
    [("12", "22"), ("-9", "-0"), ("1.50", "2.50"), ("Yes", "Yse"), ("a", "a"), ("", "")],
)
def test_changed_by_hand(text, found):
    assert changed(text) == found


@given(st.text(max_size=20))
def test_changed_keeps_the_length_and_moves_at_most_two_letters(text):
    found = changed(text)
    assert len(found) == len(text)
    assert sum(a != b for a, b in zip(text, found, strict=True)) <= 2
    if any(letter in "0123456789" for letter in text):
        assert found != text


def test_another_differs():
    cases = [Case(record={}, reference=text) for text in ("yes", " Yes", "no")]
    assert [another(cases, number) for number in range(3)] == ["no", "no", "yes"]
    assert another(cases[:2], 0) is None


def test_every_kind_is_asked():
    cases = [Case(record={}, reference="14"), Case(record={}, reference="0")]
    asked = questions(cases)
    own = [question for question in asked if question.case == 0]
    assert {question.kind for question in own} == {
        "reference", "nonsense", "constant", "empty", "changed", "cut", "another", "length",
    }  # fmt: skip
    assert len(own) == 1 + len(NONSENSE) + len(CONSTANTS) + 4 + len(LENGTHS)
    assert next(question.text for question in own if question.kind == "changed") == "24"
    assert next(question.text for question in own if question.kind == "cut") == "1"
    others = [question for question in asked if question.case == 1 and question.kind != "reference"]
    assert all(question.text.strip() != "0" for question in others)  # no wrong answer is the right one
