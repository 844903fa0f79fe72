"""Signals of the interaction: misalignment, stagnation, disengagement, satisfaction. Only users' words are searched,
but for repetition, which agents do too.

Source: Signals 2026. Where it departs: no match by trigrams or by the cosine of word counts (two shared words, such as
"customer service", are enough for those), and messages are compared for repetition only where they begin or end alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from milepost.curation.signals.flat import Batch, Texts
from milepost.curation.signals.found import Found
from milepost.curation.signals.matching import Phrases
from milepost.curation.signals.phrases import POSITIVE, STOP_WORDS
from milepost.curation.signals.taxonomy import CERTAIN, NUMBER
from milepost.curation.signals.words import SIDE, Words, loops, number_of, spelled, table

BASELINE, DECAY, DRAGGING_BELOW = 5, 0.25, 0.5
"""User turns that are normal, how efficiency falls beyond them, and below which efficiency a conversation drags."""
_MISALIGNMENT = tuple(NUMBER[kind] for kind in ("correction", "rephrase", "clarification"))
_SAID_SO = (*_MISALIGNMENT[:2], NUMBER["confirmation"])
_FEWEST_CAPITALS = 8
_NEAR, _AGAIN = 3, (4, 0.75, 0.5)
"""Messages between two that say the same, and the rule: fewest words of either, least share of the smaller one that
both have, largest share that is new."""
_EXACT, _NEAR_DUPLICATE, _WORDS, _LOOK_BACK = 0.95, 0.85, 5, 2
_IDLE = frozenset(number_of(word.encode()) for word in STOP_WORDS)
_PLEASED = frozenset(word.encode() for word in POSITIVE)


def said(batch: Batch, words: Words, phrases: Phrases, found: Found, *, fast: bool) -> None:
    """Phrases, shouting and repeated punctuation in the messages of users.

    Args:
        batch: the conversations.
        words: of the users' messages.
        phrases: what to look for.
        found: takes the signals; of the kinds of misalignment only the first that a message fits.
        fast: by machine code.
    """
    users = batch.user
    sure = phrases.sure(words, fast=fast)
    rows, lists = np.nonzero(sure)
    misaligned = -1  # the last message that fits a kind of misalignment
    for row, kind, confidence in zip(rows.tolist(), lists.tolist(), sure[rows, lists].tolist(), strict=True):
        if phrases.kinds[kind] in _MISALIGNMENT:
            if row == misaligned:
                continue
            misaligned = row if confidence >= CERTAIN else misaligned
        found.add(users.trace[row], users.place[row], phrases.kinds[kind], confidence)
    for row in np.flatnonzero(
        np.array(words.doubled, dtype=bool) | (np.array(words.capitals) >= _FEWEST_CAPITALS)
    ).tolist():
        confidence = shouting(users.text(row))
        if confidence:
            found.add(users.trace[row], users.place[row], NUMBER["negative_stance"], confidence)


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
    words = spelled(text.encode("utf-8", "replace")) if doubled else []
    return 0.6 if words and words[0] not in _PLEASED else 0.0


def rephrased(batch: Batch, words: Words, found: Found, *, fast: bool) -> None:
    """Users who say the same again in other words, at most three messages later.

    Two messages of a user with at least four words that are no stop words each, of which the smaller set shares at
    least 75 % with the other, while at most half of the later one's words are new. Messages that were found to be a
    rephrase or a confirmation before are left out.

    Args:
        batch: the conversations.
        words: of the users' messages.
        found: takes the signals, and holds those of the phrases.
        fast: by machine code.
    """
    users = batch.user
    known = {
        (trace, place)
        for trace, place, kind, sure in zip(found.trace, found.place, found.kind, found.confidence, strict=True)
        if kind in _SAID_SO and sure >= CERTAIN
    }
    near = np.zeros(len(users), dtype=bool)
    near[1:] = (np.diff(users.trace) == 0) & (np.diff(users.place) <= _NEAR)
    for row in (_said_again if fast else _again_by_sets)(words, near):
        if (users.trace[row], users.place[row]) not in known:
            found.add(users.trace[row], users.place[row], NUMBER["rephrase"], 0.8)


def _said_again(words: Words, near: NDArray[np.bool_]) -> list[int]:
    loop = loops(fast=True)
    content = words._replace(number=np.empty_like(words.number), first=np.empty_like(words.first))
    loop["_telling"](words, table(sorted(_IDLE)), content)
    again = np.zeros(len(near), dtype=bool)
    loop["_said_again"](content, near, _AGAIN, again)
    return np.flatnonzero(again).tolist()


def _again_by_sets(words: Words, near: NDArray[np.bool_]) -> list[int]:
    """What machine code marks, as it is defined."""
    number, first = words.number, words.first
    fewest, overlap, new = _AGAIN
    again: list[int] = []
    for row in np.flatnonzero(near).tolist():
        one = frozenset(number[first[row - 1] : first[row]]) - _IDLE
        two = frozenset(number[first[row] : first[row + 1]]) - _IDLE
        fewer, shared = min(len(one), len(two)), len(one & two)
        if fewer >= fewest and shared >= overlap * fewer and len(two) - shared <= new * len(two):
            again.append(row)
    return again


def dragged(batch: Batch, found: Found) -> None:
    """Conversations with many turns of the user: efficiency 1 / (1 + 0.25 (turns - 5)) below 0.5, that is 10 or more.

    The signal stands at the last turn; its confidence is 1 - efficiency.
    """
    turns = np.bincount(batch.user.trace, minlength=batch.size)
    efficiency = 1 / (1 + DECAY * np.maximum(turns - BASELINE, 0))
    for trace in np.flatnonzero(efficiency < DRAGGING_BELOW).tolist():
        last = np.searchsorted(batch.user.trace, trace, side="right") - 1
        found.add(trace, batch.user.place[last], NUMBER["dragging"], float(1 - efficiency[trace]))


def repeated(batch: Batch, found: Found, *, fast: bool) -> None:
    """Users and agents who repeat one of their two messages before, word for word or nearly.

    Jaccard index of the sets of character trigrams of at least 0.95 (confidence 0.95) or 0.85 (0.85), between messages
    of at least five words that begin or end with the same 16 bytes. Users' messages that begin with a positive word are
    left out.
    """
    for texts, is_user in ((batch.user, True), (batch.agent, False)):
        for row, befores in _alike(texts, fast=fast):
            words = spelled(texts.raw(row))
            if len(words) < _WORDS or (is_user and words[0] in _PLEASED):
                continue
            for before in befores:
                index = jaccard(words, spelled(texts.raw(before)))
                if index >= _NEAR_DUPLICATE:
                    sure = _EXACT if index >= _EXACT else _NEAR_DUPLICATE
                    found.add(texts.trace[row], texts.place[row], NUMBER["repetition"], sure)
                    break


def _alike(texts: Texts, *, fast: bool) -> list[tuple[int, list[int]]]:
    """Messages that begin or end like one of the two before of the same speaker, and those, the earlier first."""
    if not len(texts):
        return []
    backs = np.zeros((_LOOK_BACK, len(texts)), dtype=bool)
    raw = [] if fast else [texts.raw(row) for row in range(len(texts))]
    for back, found in enumerate(backs, 1):
        if fast:
            loops(fast=True)["_alike"](texts.data, texts.offsets, texts.trace, back, found)
        else:
            sides = zip(raw, raw[back:], strict=False)
            found[back:] = [one[:SIDE] == two[:SIDE] or one[-SIDE:] == two[-SIDE:] for one, two in sides]
            found[back:] &= texts.trace[back:] == texts.trace[:-back]
    rows = np.flatnonzero(backs.any(axis=0)).tolist()
    return [(row, [row - back for back in range(_LOOK_BACK, 0, -1) if backs[back - 1, row]]) for row in rows]


def jaccard(one: Sequence[bytes], two: Sequence[bytes]) -> float:
    """Jaccard index of the character trigrams of two texts given as words.

        jaccard = |A and B| / |A or B|,  A and B the sets of trigrams of the words joined by blanks

    Args:
        one: words of a text.
        two: words of another.

    Returns:
        A number from 0 to 1; 1 for two empty texts.
    """
    first, second = trigrams(b" ".join(one)), trigrams(b" ".join(two))
    return len(first & second) / len(first | second) if first or second else 1.0


def trigrams(text: bytes) -> set[bytes]:
    """Sets of three characters in a row."""
    return {text[place : place + 3] for place in range(len(text) - 2)}
