"""Conversations laid flat: places are those of the whole conversation, long texts are cut as stated."""

import pytest

from milepost.curation.signals.detect import detect_in
from milepost.curation.signals.flat import flat
from milepost.curation.signals.taxonomy import KINDS


def user(text):
    return {"role": "user", "content": text}


def said(texts):
    return [(texts.text(row), texts.trace[row], texts.place[row]) for row in range(len(texts))]


def test_who_says_what():
    messages = [
        {"role": "system", "content": "s"},
        user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        {"role": "assistant", "content": "c", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
        {"role": "tool", "content": "d"},
        {"role": "function", "content": "e"},
        {"role": "assistant", "content": None},
        user(""),
    ]
    batch = flat([messages, messages[1:2]])
    assert said(batch.user) == [("a\nb", 0, 1), ("a\nb", 1, 0)]
    assert said(batch.agent) == [("c", 0, 2)]
    assert said(batch.answers) == [("d", 0, 3), ("e", 0, 4)]
    assert said(batch.calls.spelled) == [('f {"x": 1}', 0, 2)]
    assert (batch.calls.name(0), batch.calls.arguments(0)) == ("f", '{"x": 1}')
    assert batch.size == 2


def test_places_stay_absolute_after_the_cut():
    """Of 150 messages the last 100 are looked at; a signal says where it is in all 150, whatever found it."""
    quiet = [user(f"Number {place} of the list is {place * 7919}") for place in range(150)]
    quiet[10] = user("That is not what I asked")  # before the last 100: not seen
    quiet[120] = user("That is not what I asked")
    for place in (130, 131, 132):
        quiet[place] = {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": "{}"}]}
    quiet[140] = {"role": "tool", "content": "Error: too many requests"}
    found = detect_in([quiet])
    places = {KINDS[kind]: place for kind, place in zip(found.kind, found.place, strict=True)}
    assert places["correction"] == 120
    assert places["retry"] == 130
    assert places["rate_limit"] == 140
    assert places["dragging"] == 149
    assert list(found.kind).count(KINDS.index("correction")) == 1


def test_long_texts_are_cut():
    long, answer = "a" * 300 + "b" * 3000 + "c" * 1600, "a" * 300 + "b" * 3000 + "c" * 300
    batch = flat([[user(long), {"role": "tool", "content": answer}]])
    assert batch.user.text(0) == "a" * 300 + "b" * 100 + "\n" + "c" * 1600
    assert batch.answers.text(0) == "a" * 300 + "\n" + "c" * 300


def test_broken_messages_raise_and_are_no_signal():
    with pytest.raises(KeyError):
        flat([[{"content": "x"}]])
