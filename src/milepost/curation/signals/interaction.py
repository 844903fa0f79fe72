"""Signals of the interaction: misalignment, stagnation, disengagement, satisfaction. Only users' words are searched,
but for repetition, which agents do too.

Source: Signals 2026. Where it departs: no match by trigrams or by the cosine of word counts (two shared words, such as
"customer service", are enough for those), and messages are compared for repetition only where they begin or end alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from milepost.curation.signals.flat import Batch, Texts
from milepost.curation.signals.found import Found
from milepost.curation.signals.matching import Phrases, words_of
from milepost.curation.signals.phrases import POSITIVE, STOP_WORDS
from milepost.curation.signals.taxonomy import CERTAIN, NUMBER

BASELINE, DECAY, DRAGGING_BELOW = 5, 0.25, 0.5
"""User turns that are normal, how efficiency falls beyond them, and below which efficiency a conversation drags."""
_MISALIGNMENT = tuple(NUMBER[kind] for kind in ("correction", "rephrase", "clarification"))
_SAID_SO = (*_MISALIGNMENT[:2], NUMBER["confirmation"])
_PUNCTUATION = ".,;:!?()\"'"
_FEWEST_CAPITALS = 8
_GLANCE = 8
_NEAR, _CONTENT_WORDS, _OVERLAP, _NEW = 3, 4, 0.75, 0.5
_ALIKE, _EXACT, _NEAR_DUPLICATE, _WORDS, _LOOK_BACK = 16, 0.95, 0.85, 5, 2


def said(batch: Batch, phrases: Phrases, found: Found) -> None:
    """Phrases, shouting and repeated punctuation in the messages of users.

    Args:
        batch: the conversations.
        phrases: what to look for.
        found: takes the signals; of the kinds of misalignment only the first that a message fits.
    """
    users = batch.user
    if not users.text:
        return
    texts = pa.array(users.text)
    lowered = pc.ascii_lower(texts)
    for row in _matching(lowered, phrases.pattern).tolist():
        taken = False
        for hit in phrases.find(users.text[row]):
            misaligned = hit.kind in _MISALIGNMENT
            if misaligned and taken:
                continue
            taken = taken or (misaligned and hit.confidence >= CERTAIN)
            found.add(users.trace[row], users.place[row], hit.kind, hit.confidence)
    for row in np.union1d(_matching(texts, "[!?]{2}"), _capitals(texts, lowered)).tolist():
        confidence = shouting(users.text[row])
        if confidence:
            found.add(users.trace[row], users.place[row], NUMBER["negative_stance"], confidence)


def _matching(texts: pa.Array, pattern: str) -> NDArray[np.int64]:
    return np.flatnonzero(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False))


def _capitals(texts: pa.Array, lowered: pa.Array) -> NDArray[np.int64]:
    """Texts with at least as many capitals from A to Z as the shortest one that shouts: those bytes differ."""
    (_, offsets, one), (_, _, two) = texts.buffers(), lowered.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32, count=len(texts) + 1)
    differ = np.frombuffer(one, dtype=np.uint8)[: starts[-1]] != np.frombuffer(two, dtype=np.uint8)[: starts[-1]]
    total = np.concatenate(([0], np.cumsum(differ)))
    return np.flatnonzero(np.diff(total[starts]) >= _FEWEST_CAPITALS)


def shouting(text: str) -> float:
    """Whether a message shouts: at least 10 letters with 80 % capitals, or two or more of ? and ! in a row.

    Args:
        text: the message.

    Returns:
        Confidence: 0.8 for capitals, 0.6 for punctuation unless the message begins with a positive word, else 0.
    """
    letters = [c for c in text if c.isalpha()]
    if len(letters) >= 10 and sum(c.isupper() for c in letters) >= 0.8 * len(letters):
        return 0.8
    doubled = any(one in "?!" and two in "?!" for one, two in pairwise(text))
    return 0.6 if doubled and words_of(text)[:1] and words_of(text)[0] not in POSITIVE else 0.0


def rephrased(batch: Batch, found: Found) -> None:
    """Users who say the same again in other words, at most three messages later.

    Two messages of a user with at least four words that are no stop words each, of which the smaller set shares at
    least 75 % with the other, while at most half of the later one's words are new. Messages that were found to be a
    rephrase or a confirmation before are left out.
    """
    users = batch.user
    known = {
        (trace, place)
        for trace, place, kind, sure in zip(found.trace, found.place, found.kind, found.confidence, strict=True)
        if kind in _SAID_SO and sure >= CERTAIN
    }
    for row in _said_again(users):
        if (users.trace[row], users.place[row]) not in known:
            found.add(users.trace[row], users.place[row], NUMBER["rephrase"], 0.8)


def _said_again(users: Texts) -> list[int]:
    """Messages that say what the message of the user before says, at most three messages later."""
    place, trace = np.array(users.place), np.array(users.trace)
    near = np.flatnonzero((trace[1:] == trace[:-1]) & (np.diff(place) <= _NEAR)).tolist()
    return [row + 1 for row in near if _again(users.text[row].lower(), users.text[row + 1].lower())]


def _again(before: str, after: str) -> bool:
    """Whether a text says what the one before says; of its first content words half must be there, as a quick look."""
    begun = [word for word in after.split(None, _GLANCE)[:_GLANCE] if len(word) > 3 and word not in STOP_WORDS]
    if 2 * sum(word.strip(_PUNCTUATION) in before for word in begun) < len(begun):
        return False
    one, two = (frozenset(words_of(text)) - STOP_WORDS for text in (before, after))
    fewer, shared = min(len(one), len(two)), len(one & two)
    return fewer >= _CONTENT_WORDS and shared >= _OVERLAP * fewer and len(two) - shared <= _NEW * len(two)


def dragged(batch: Batch, found: Found) -> None:
    """Conversations with many turns of the user: efficiency 1 / (1 + 0.25 (turns - 5)) below 0.5, that is 10 or more.

    The signal stands at the last turn; its confidence is 1 - efficiency.
    """
    turns = np.bincount(np.array(batch.user.trace, dtype=np.int64), minlength=batch.size)
    efficiency = 1 / (1 + DECAY * np.maximum(turns - BASELINE, 0))
    last = dict(zip(batch.user.trace, batch.user.place, strict=True))
    for trace in np.flatnonzero(efficiency < DRAGGING_BELOW).tolist():
        found.add(trace, last[trace], NUMBER["dragging"], float(1 - efficiency[trace]))


def repeated(batch: Batch, found: Found) -> None:
    """Users and agents who repeat one of their two messages before, word for word or nearly.

    Jaccard index of the sets of character trigrams of at least 0.95 (confidence 0.95) or 0.85 (0.85), between messages
    of at least five words. Users' messages that begin with a positive word are left out.
    """
    for texts, is_user in ((batch.user, True), (batch.agent, False)):
        done: set[int] = set()
        for row, before in _alike(texts):
            if row in done:
                continue
            words = words_of(texts.text[row])
            if len(words) < _WORDS or (is_user and words[0] in POSITIVE):
                continue
            index = jaccard(words, words_of(texts.text[before]))
            if index >= _NEAR_DUPLICATE:
                done.add(row)
                sure = _EXACT if index >= _EXACT else _NEAR_DUPLICATE
                found.add(texts.trace[row], texts.place[row], NUMBER["repetition"], sure)


def _alike(texts: Texts) -> list[tuple[int, int]]:
    """Pairs of messages of one speaker, one or two apart, that begin or end with the same 16 characters."""
    heads = [text[:_ALIKE] for text in texts.text]
    tails = [text[-_ALIKE:] for text in texts.text]
    pairs: list[tuple[int, int]] = []
    for back in range(1, _LOOK_BACK + 1):
        sides = zip(heads, heads[back:], tails, tails[back:], strict=False)
        same = [row for row, (one, two, three, four) in enumerate(sides) if one == two or three == four]
        pairs += [(row + back, row) for row in same if texts.trace[row] == texts.trace[row + back]]
    return sorted(pairs)


def jaccard(one: Sequence[str], two: Sequence[str]) -> float:
    """Jaccard index of the character trigrams of two texts given as words.

        jaccard = |A and B| / |A or B|,  A and B the sets of trigrams of the words joined by blanks

    Args:
        one: words of a text.
        two: words of another.

    Returns:
        A number from 0 to 1; 1 for two empty texts.
    """
    first, second = trigrams(" ".join(one)), trigrams(" ".join(two))
    return len(first & second) / len(first | second) if first or second else 1.0


def trigrams(text: str) -> set[str]:
    """Sets of three characters in a row."""
    return {text[place : place + 3] for place in range(len(text) - 2)}
