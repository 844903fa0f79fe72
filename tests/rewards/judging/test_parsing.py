"""Verdicts are read strictly: one, at the end, of the words allowed."""

import contextlib

import hypothesis.strategies as st
import pytest
from hypothesis import given

from milepost.errors import FormatError
from milepost.rewards.judging import parsing
from milepost.rewards.judging.judge import Rubric

RUBRIC = Rubric(name="sound", asks="?")
UNUSABLE = (
    "",
    "1",
    "I give it a 1 out of 1.",
    "<verdict>1",
    "1</verdict>",
    "<verdict></verdict>",
    "<verdict>2</verdict>",
    "<verdict>+1</verdict>",
    "<verdict>1.0</verdict>",
    "<verdict>-1 or 1</verdict>",
    "<verdict>1</verdict> though I am not sure",
    "<verdict>-1</verdict> no, <verdict>1</verdict>",
    "<verdict><verdict>1</verdict></verdict>",
    "<VERDICT>1</VERDICT>",
    "<verdict>\u0661</verdict>",
    "<verdict>1<b></verdict>",
)


@pytest.mark.parametrize("text", UNUSABLE)
def test_what_is_no_verdict(text):
    with pytest.raises(FormatError):
        parsing.read_score(text, RUBRIC)


def test_scores():
    for word, value in RUBRIC.scale:
        assert parsing.read_score(f"It follows.\n<verdict> {word} </verdict>\n", RUBRIC) == value


def test_preferences():
    assert [parsing.read_preference(f"<verdict>{word}</verdict>") for word in ("A", "B", "tie")] == [1.0, 0.0, 0.5]
    for wrong in ("a", "C", "A and B", "candidate A"):
        with pytest.raises(FormatError):
            parsing.read_preference(f"<verdict>{wrong}</verdict>")


def test_rankings():
    assert parsing.read_ranking("<verdict>2 > 1 > 3</verdict>", 3) == (2.0, 1.0, 3.0)
    assert parsing.read_ranking("<verdict>2 > 1 = 3</verdict>", 3) == (2.5, 1.0, 2.5)
    assert parsing.read_ranking("<verdict>1=2</verdict>", 2) == (1.5, 1.5)
    for wrong in ("1 > 2", "1 > 2 > 2", "1 > 2 > 4", "1 > > 2 > 3", "1, 2, 3", "", "3 > 2 > 1 > 0"):
        with pytest.raises(FormatError):
            parsing.read_ranking(f"<verdict>{wrong}</verdict>", 3)


def test_rankings_that_agree():
    assert parsing.agree((1, 2, 3), (1, 3, 2))
    assert not parsing.agree((1, 2, 3), (3, 2, 1))
    assert not parsing.agree((1, 2), (2, 1))
    assert not parsing.agree((1, 2, 3, 4), (2, 1, 4, 3)[::-1])
    assert parsing.agree((1.5, 1.5), (1, 2)), "a ranking that says nothing contradicts nothing"


@given(st.text(max_size=60))
def test_nothing_but_a_format_error_or_a_number_of_the_scale(text):
    for whole in (text, f"<verdict>{text}</verdict>"):
        with contextlib.suppress(FormatError):
            assert parsing.read_score(whole, RUBRIC) in (-1.0, 0.0, 1.0)
        with contextlib.suppress(FormatError):
            assert sorted(parsing.read_ranking(whole, 2)) in ([1, 2], [1.5, 1.5])
