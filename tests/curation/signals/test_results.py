"""Answers of tools: one signal each, the surroundings before the agent."""

import re

import pytest
from hypothesis import given, settings, strategies

from milepost.curation.signals.detect import detect_in
from milepost.curation.signals.results import KEYS, SIGNS, Sign
from milepost.curation.signals.taxonomy import GROUPS, KINDS


def kinds(*answers):
    found = detect_in([[{"role": "tool", "content": answer}] for answer in answers])
    return [[KINDS[k] for t, k in zip(found.trace, found.kind, strict=True) if t == n] for n in range(len(answers))]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Error: invalid argument 'date'", "invalid_args"),
        ("missing 1 required positional argument", "invalid_args"),
        ("ValidationError: field required", "invalid_args"),
        ("Error: Tool 'cancel' not found.", "tool_not_found"),
        ("unknown function: bok", "tool_not_found"),
        ("401 Unauthorized", "auth_misuse"),
        ("Error code: 403", "auth_misuse"),
        ("Error: order cannot be cancelled", "state_error"),
        ("Non-pending order: not pending", "state_error"),
        ("Error: user not found", "bad_query"),
        ("No results found", "bad_query"),
        ("Rate limit exceeded, retry in 3 s", "rate_limit"),
        ("HTTP/1.1 429", "rate_limit"),
        ("500: Internal Server Error", "api_error"),
        ("The request timed out", "timeout"),
        ("ConnectionError: connection refused", "network"),
        ("JSONDecodeError: Expecting value", "malformed_response"),
        ("maximum context length is 8192", "context_overflow"),
    ],
)
def test_every_kind(answer, kind):
    assert kinds(answer) == [[kind]]


@pytest.mark.parametrize(
    "answer", ["booked", '{"price": 429, "seats": 500}', "Flight 401 to Oslo, gate 403", '{"timeout": 30}', "found", ""]
)
def test_plain_data_is_no_signal(answer):
    assert kinds(answer) == [[]]


def test_one_event_counts_once():
    """In the open implementation "invalid json" is a failure and an exhaustion: one event counts twice."""
    both = "Invalid JSON: invalid argument, the request timed out, user not found"
    assert kinds(both, "Error: invalid json in arguments") == [["timeout"], ["malformed_response"]]


def test_what_stands_in_the_middle_of_long_data_is_data():
    filler = '{"name": "shirt", "size": "M"}, ' * 40
    assert kinds(filler + "item not found" + filler) == [[]]
    assert kinds("Error: item not found. " + filler) == [["bad_query"]]
    assert kinds(filler + "Error: item not found") == [["bad_query"]]


def test_kinds_are_those_of_the_taxonomy():
    assert {sign.kind for sign in SIGNS} == {*GROUPS["failure"], *GROUPS["exhaustion"]}
    assert all(0.5 <= sign.confidence <= 1 for sign in SIGNS)


@pytest.mark.parametrize("line", [line for sign in SIGNS for line in sign.lines.strip().split("\n")])
def test_what_an_expression_matches_holds_a_key(line):
    """The quick way searches only what holds one of the groups of four characters; whole lines are drawn at random."""
    expression = re.compile(Sign("", 0.0, line).expression, re.ASCII)

    @settings(max_examples=60, deadline=None, database=None)
    @given(strategies.from_regex(expression, fullmatch=True))
    def holds(text):
        assert any(key in text.lower() for key in KEYS)

    holds()
