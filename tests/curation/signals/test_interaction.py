"""Signals of the interaction by their definitions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.curation.signals.detect import detect_in
from milepost.curation.signals.interaction import jaccard, shouting, trigrams
from milepost.curation.signals.taxonomy import KINDS


def talk(*said):
    """Messages in turn: user, agent, user, ..."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


def found(*conversations):
    signals = detect_in(conversations)
    return [
        (trace, place, KINDS[kind])
        for trace, place, kind in zip(signals.trace, signals.place, signals.kind, strict=True)
    ]


@pytest.mark.parametrize("turns", range(41))
def test_dragging_is_exactly_ten_turns(turns):
    """Efficiency 1 / (1 + 0.25 (u - 5)) is below 0.5 from u = 10 on: the length rule in disguise."""
    users = [{"role": "user", "content": f"item {i * 7919}"} for i in range(turns)]
    signals = [one for one in found(users) if one[2] == "dragging"]
    assert signals == ([(0, turns - 1, "dragging")] if turns >= 10 else [])


def test_rephrase_without_phrase():
    again = talk(
        "I need a window seat on the morning flight", "Which day?", "window seat morning flight please, I need"
    )
    assert (0, 2, "rephrase") in found(again)
    other = talk("I need a window seat on the morning flight", "Which day?", "Friday, and an extra bag for my guitar")
    assert found(other) == []
    late = talk(
        "I need a window seat on the morning flight", "a", "b", "c", "window seat morning flight please, I need"
    )
    assert (0, 4, "rephrase") not in found(late)
    agreed = talk("book the morning flight window seat", "Shall I?", "yes please book the morning flight window seat")
    assert (0, 2, "rephrase") not in found(agreed)


def test_a_correction_is_no_rephrase_too():
    assert [kind for _, _, kind in found(talk("No, that's wrong. To be clear, I meant Oslo."))] == ["correction"]


def test_repetition_of_either_speaker():
    text = "Please tell me the number of your order so that I can help"
    said = talk("Where is my order of last week?", text, "It is 4", text + " you", "x", "Something else entirely now")
    assert [one for one in found(said) if one[2] == "repetition"] == [(0, 3, "repetition")]
    short = talk("a", "ok then", "b", "ok then", "c", "ok then")
    assert not [one for one in found(short) if one[2] == "repetition"], "fewer than five words"
    glad = talk("thank you so very much indeed", "a", "thank you so very much indeed")
    assert not [one for one in found(glad) if one[2] == "repetition"], "begins with a positive word"


def test_repetition_stays_inside_a_conversation():
    text = "Please tell me the number of your order so that I can help"
    assert not [one for one in found(talk("a", text), talk("b", text)) if one[2] == "repetition"]


def test_shouting():
    assert shouting("THIS IS NOT WHAT I WANTED") == 0.8
    assert shouting("I am from the USA and the UK") == 0.0
    assert shouting("OK FINE") == 0.0, "fewer than ten letters"
    assert shouting("Where is it??") == 0.6
    assert shouting("Thanks!!") == 0.0, "begins with a positive word"
    assert shouting("!!") == 0.0
    assert (0, 0, "negative_stance") in found(talk("I AM SO MAD AT YOU ALL"))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(("seat", "order", "flight", "SHOUT", "no", "it's", "?!")), max_size=12))
def test_shouting_passes_the_quick_expression(words):
    text = " ".join(words)
    expected = 1 if shouting(text) else 0
    assert sum(kind == "negative_stance" for _, _, kind in found(talk(text))) == expected


def test_jaccard():
    assert trigrams(b"abcd") == {b"abc", b"bcd"}
    assert jaccard([b"abcd"], [b"abcd"]) == 1.0
    assert jaccard([b"abcd"], [b"bcde"]) == pytest.approx(1 / 3)
    assert jaccard([], []) == 1.0


def test_same_input_same_report():
    said = [talk("No, that's wrong!!", "I see", "thank you"), talk("x")]
    assert found(*said) == found(*said)
    assert found(*said[:1]) == found(*said), "a conversation does not depend on its neighbours"
