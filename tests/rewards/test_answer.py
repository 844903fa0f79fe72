"""Reading the final answer: each way the tags can be wrong has one defined result."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from milepost.rewards.answer import parse_answer


def test_hand_example():
    found = parse_answer("3 + 4 is seven. <answer> 7\n</answer>  bye ")
    assert (found.answer, found.fault, found.count) == ("7", "", 1)
    assert found.reasoning == "3 + 4 is seven. "
    assert found.trailing == "bye"


@pytest.mark.parametrize(
    ("completion", "answer", "fault", "count"),
    [
        ("", None, "missing", 0),
        ("just 7", None, "missing", 0),
        ("<ANSWER>7</ANSWER>", None, "missing", 0),
        ("<answer >7</answer >", None, "missing", 0),
        ("<answer>7", None, "unclosed", 0),
        ("<answer>6</answer> no: <answer>7", None, "unclosed", 1),
        ("7</answer>", None, "stray", 0),
        ("<answer>7</answer></answer>", None, "stray", 1),
        ("</answer>7<answer>", None, "stray", 0),
        ("<answer>6<answer>7</answer></answer>", None, "nested", 0),
        ("my <answer> is <answer>7</answer>", None, "nested", 0),
        ("<answer></answer>", "", "empty", 1),
        ("<answer>7</answer> or <answer> \n </answer>", "", "empty", 2),
        ("<answer>6</answer> no: <answer>7</answer>", "7", "", 2),
        ("<answer>a < b > c</answer>", "a < b > c", "", 1),
        ("<answer>two\nlines</answer>", "two\nlines", "", 1),
    ],
)
def test_each_case(completion, answer, fault, count):
    found = parse_answer(completion)
    assert (found.answer, found.fault, found.count) == (answer, fault, count)
    if answer is None:
        assert (found.reasoning, found.trailing) == (completion, "")


def test_trap_hedging_with_several_answers_counts_the_last_only():
    hedged = " ".join(f"<answer>{number}</answer>" for number in range(10))
    assert parse_answer(hedged).answer == "9"


@given(st.lists(st.sampled_from(["<answer>", "</answer>", "7", " ", "<", "answer>"]), max_size=12))
@settings(max_examples=300, deadline=None)
def test_an_answer_is_given_exactly_when_the_tags_alternate(pieces):
    text = "".join(pieces)
    found = parse_answer(text)
    opened, closed = text.count("<answer>"), text.count("</answer>")
    bare = text.replace("</answer>", "\0c").replace("<answer>", "\0o")
    order = [bare[place + 1] for place in range(len(bare)) if bare[place] == "\0"]
    alternates = order == ["o", "c"] * (len(order) // 2) and opened == closed and opened > 0
    assert (found.answer is not None) == alternates
    if found.answer is not None:
        inner = text.rpartition("<answer>")[2].partition("</answer>")
        assert found.answer == inner[0].strip()
        assert found.trailing == inner[2].strip()
