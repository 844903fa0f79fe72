"""Answers to questions as SQuAD compares them: exact match and F1 of words after normalisation."""

from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.errors import FormatError
from milepost.rewards.verifier import normalised, token_f1, verify


def squad_normalised(text: str) -> str:
    """The steps of SQuAD's script, in its order: the oracle."""
    text = "".join(one for one in text.lower() if one not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(prediction: str, truth: str) -> float:
    """SQuAD 2's F1: the oracle."""
    given, wanted = squad_normalised(prediction).split(), squad_normalised(truth).split()
    same = sum((collections.Counter(given) & collections.Counter(wanted)).values())
    if len(wanted) == 0 or len(given) == 0:
        return float(wanted == given)
    if same == 0:
        return 0.0
    precision, recall = same / len(given), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


TEXTS = st.lists(
    st.sampled_from(["the", "A", "an", "Chad", "chad.", "N'Djamena", ".td", "-", "of", "Theatre"]), max_size=5
)
TEXTS = TEXTS.map(" ".join)


@given(TEXTS, TEXTS)
def test_it_is_squads(one, other):
    assert normalised(one) == squad_normalised(one)
    assert token_f1(one, other) == pytest.approx(squad_f1(one, other))


@given(TEXTS, TEXTS)
def test_f1_is_symmetric_and_one_exactly_for_the_same_words(one, other):
    assert token_f1(one, other) == token_f1(other, one)
    same = sorted(normalised(one).split()) == sorted(normalised(other).split())
    assert (token_f1(one, other) == 1) == same


def test_hand_examples():
    record = {"verifier": "qa_exact", "answer": "N'Djamena"}
    assert verify(record, "  the n'djamena. ") == 1
    assert verify(record, "Djamena") == 0
    assert verify({"verifier": "qa_exact", "answer": ".td"}, "TD") == 1
    f1 = {"verifier": "qa_f1", "answer": "Port of Spain"}
    assert verify(f1, "the Port") == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    assert verify(f1, "Spain Port of") == 1
    assert verify(f1, "Lima") == 0


def test_one_of_several_answers_suffices():
    record = {"answer": "United States", "answers": ["United States", "USA"]}
    assert verify({**record, "verifier": "qa_exact"}, "the USA") == 1
    assert verify({**record, "verifier": "qa_f1"}, "states") == pytest.approx(2 / 3)
    assert verify({**record, "answers": [], "verifier": "qa_exact"}, "united states") == 1


def test_nothing_is_not_an_answer():
    for name in ("qa_exact", "qa_f1"):
        assert verify({"verifier": name, "answer": "Lima"}, "") == 0
        assert verify({"verifier": name, "answer": "Lima"}, "the ...") == 0
        with pytest.raises(FormatError, match="no 'answer'"):
            verify({"verifier": name}, "Lima")
