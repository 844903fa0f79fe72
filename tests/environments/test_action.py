"""Actions of any names: what is read, and what cannot be."""

import pytest

from milepost.environments.action import MALFORMED, ParsedAction, parse


def test_hand_examples():
    assert parse("dark <act> open door </act> ", ("act",)) == ParsedAction(
        kind="act", content="open door", thought="dark"
    )
    assert parse("<search>x</search>", ("act",)).fault == "no_action"
    assert parse("<a.b>x</a.b>", ("a.b",)).kind == "a.b"


@pytest.mark.parametrize("text", ["<axb>x</axb>", "<a.b >x</a.b>", "&lt;a.b&gt;"])
def test_names_are_taken_literally(text):
    assert parse(text, ("a.b",)).kind == MALFORMED


def test_content_may_hold_other_tags():
    assert parse("<act>say <b>hi</b></act>", ("act",)).content == "say <b>hi</b>"
