"""The grammar of actions: every fault by name, and nothing that is not the whole step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.environments.search.action import STOP, parse_action, split_queries


def test_hand_examples():
    found = parse_action("Where? <search> city Moundou </search>\n")
    assert (found.kind, found.content, found.thought, found.fault) == ("search", "city Moundou", "Where?", "")
    found = parse_action("<answer>Chad</answer>")
    assert (found.kind, found.content, found.thought) == ("answer", "Chad", "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no_action"),
        ("The answer is Chad.", "no_action"),
        ("<SEARCH>x</SEARCH>", "no_action"),
        ("< search>x</ search>", "no_action"),
        ("</search>", "stray"),
        ("</answer><answer>x</answer>", "stray"),
        ("<search>city", "unclosed"),
        ("<search>a<search>b</search>", "nested"),
        ("<answer><search>b</search></answer>", "nested"),
        ("<search>city</answer>", "mismatched"),
        ("<search>a</search><search>b</search>", "two_actions"),
        ("<search>a</search> <answer>b</answer>", "two_actions"),
        ("<answer>b</answer></answer>", "two_actions"),
        ("<answer>b</answer> I think", "trailing"),
        ("<answer> \n </answer>", "empty"),
    ],
)
def test_every_fault_has_its_name(text, fault):
    found = parse_action(text)
    assert (found.kind, found.fault, found.content) == ("malformed", fault, "")
    assert found.thought == text.strip()


@given(st.text(max_size=60))
def test_any_text_is_parsed(text):
    found = parse_action(text)
    assert (found.kind == "malformed") == bool(found.fault)
    assert found.content == found.content.strip()


TAGS = ("<search>", "</search>", "<answer>", "</answer>", "x", " ")


@given(st.lists(st.sampled_from(TAGS), max_size=8).map("".join))
def test_what_is_accepted_is_one_pair_at_the_end(text):
    found = parse_action(text)
    if found.kind != "malformed":
        assert sum(text.count(tag) for tag in TAGS[:4]) == 2
        assert text.rstrip().endswith(f"</{found.kind}>")
        assert text.rstrip().endswith(STOP)


def test_queries_are_parted_only_where_several_are_allowed():
    assert split_queries("a ## b", 1) == ("a ## b",)
    assert split_queries("a ## b##a ## ## c", 3) == ("a", "b", "c")
    assert split_queries("a ## b ## c", 2) == ("a", "b")
