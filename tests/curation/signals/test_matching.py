"""Phrases: what is found, how sure, and that spelling loses nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.curation.signals import phrases
from milepost.curation.signals.matching import Phrases
from milepost.curation.signals.taxonomy import CERTAIN, KINDS

ENGLISH = Phrases()
CONTRACTIONS = {
    "dont": "don't", "didnt": "didn't", "doesnt": "doesn't", "thats": "that's", "youre": "you're", "youve": "you've",
    "im": "i'm", "ill": "i'll", "its": "it's", "lets": "let's",
}  # fmt: skip
LINES = [
    (kind, line.rstrip("*? ").split()) for kind, text in phrases.LISTS.items() for line in text.split("\n") if line
]


def kinds(text, *, certain=True):
    return {KINDS[hit.kind] for hit in ENGLISH.find(text) if (hit.confidence >= CERTAIN) is certain}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("No, that’s NOT what I asked!", "correction"),
        ("let me rephrase: a flight", "rephrase"),
        ("what do you mean by that?", "clarification"),
        ("I want to speak to a real person", "escalation"),
        ("OK. I give up", "quit"),
        ("I quit this now", "quit"),
        ("this is ridiculous", "negative_stance"),
        ("Thanks so much", "gratitude"),
        ("Yes, please.", "confirmation"),
        ("Great, it worked", "success"),
    ],
)
def test_every_kind(text, kind):
    assert kind in kinds(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I quit smoking last year", "quit"),
        ("customer service", "escalation"),
        ("I don't think it worked", "success"),
        ("that's not exactly perfect", "confirmation"),
        ("please never give me a manager", "escalation"),
    ],
)
def test_known_false_alarms(text, kind):
    """The open implementation counts the first three in full: contiguous match, cosine of word counts, no negation."""
    assert kind not in kinds(text)
    assert kind in kinds(text, certain=False), "kept, with a confidence that does not count"


def test_silence():
    assert ENGLISH.find("") == []
    assert ENGLISH.find("I would like to book a flight to Oslo for two people") == []
    assert kinds("goodbye") == set(), "a prefix of a word is no word"


SPELLED = st.sampled_from((" ", "  ", ", ", " - ", "\n"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LINES), SPELLED, st.sampled_from(("", "'", "\u2019")), st.booleans(), st.booleans())
def test_no_phrase_is_lost_however_it_is_spelled(line, gap, apostrophe, upper, inside):
    kind, words = line
    spelled = [CONTRACTIONS.get(word, word).replace("'", apostrophe) for word in words]
    text = gap.join(spelled)
    text = text.upper() if upper else text
    text = f"Well {text} ok" if inside else text
    assert kind in {KINDS[hit.kind] for hit in ENGLISH.find(text)}


def test_lists_of_another_language():
    german = Phrases(lists={"gratitude": "vielen dank\n", "correction": "das ist falsch\n"})
    assert [KINDS[hit.kind] for hit in german.find("Das ist falsch. Vielen Dank!")] == ["gratitude", "correction"]


def test_a_negation_reaches_four_words():
    assert "success" not in kinds("I don't really think that it worked")
    assert "success" in kinds("I don't really think now that it worked")
