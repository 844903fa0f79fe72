"""Phrases in texts: one regular expression over a whole batch finds candidates, a trie of words decides.

The expression runs in Arrow (RE2, linear time). It lets every text through that holds a phrase; what it finds beyond
that the trie drops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from milepost.curation.signals import phrases
from milepost.curation.signals.taxonomy import NUMBER

_WORD = re.compile(r"[a-z0-9]+")
_CURLY = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})
_END = ""
_NEGATED, _IN_PASSING, _WITH_OBJECT, _PLAIN = 0.2, 0.3, 0.3, 0.9
_BEFORE = 4
"""Words before a phrase in which a negation turns it around."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A phrase found: number of its kind, and how sure it is meant."""

    kind: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """Phrases of all kinds, ready to be looked for."""

    lists: Mapping[str, str] = field(default_factory=lambda: dict(phrases.LISTS))
    """Kind to its phrases, one a line, in order of precedence; see `milepost.curation.signals.phrases`."""

    @cached_property
    def pattern(self) -> str:
        """An RE2 expression that lower-case texts with a phrase match: of each phrase a rare word, or all of it."""
        spelled = [line.rstrip("*? ").split() for text in self.lists.values() for line in _lines(text)]
        return "|".join(sorted({_telling(words) for words in spelled}))

    @cached_property
    def _trie(self) -> dict[str, Any]:
        root: dict[str, Any] = {}
        for order, (kind, text) in enumerate(self.lists.items()):
            for line in _lines(text):
                node = root
                for word in line.rstrip("*?").split():
                    node = node.setdefault(word, {})
                mark = line[-1] if line[-1] in "*?" else ""
                node.setdefault(_END, []).append((order, NUMBER[kind], mark))
        return root

    def find(self, text: str) -> list[Hit]:
        """Hits in a text: the surest of each kind, in order of precedence.

        Args:
            text: one message.

        Returns:
            At most one hit per kind. A negation among the four words before a phrase, something that follows a phrase
            marked "*", and phrases marked "?" give a confidence below `taxonomy.CERTAIN`.
        """
        words, trie = words_of(text), self._trie
        found: dict[tuple[int, int], float] = {}
        for start, word in enumerate(words):
            node, place = trie.get(word), start
            while node is not None:
                place += 1
                for order, kind, mark in node.get(_END, ()):
                    sure = _confidence(words, start, place, mark)
                    found[order, kind] = max(sure, found.get((order, kind), 0.0))
                node = node.get(words[place]) if place < len(words) else None
        return [Hit(kind, sure) for (_, kind), sure in sorted(found.items())]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _telling(words: list[str]) -> str:
    """The longest word of a phrase that few messages hold; where all are frequent, the phrase."""
    frequent = phrases.STOP_WORDS | phrases.FREQUENT | phrases.CONTRACTIONS.keys()
    rare = [word for word in words if word not in frequent and len(word) > 3]
    if rare:
        return max(rare, key=len)
    return r"\W+".join(phrases.CONTRACTIONS.get(word, word).replace("'", r"\W?") for word in words)


def words_of(text: str) -> list[str]:
    """Words of a text: lower case, without apostrophes and punctuation, curly quotes and dashes as plain ones."""
    lowered = text.lower()
    if not lowered.isascii():
        lowered = lowered.translate(_CURLY)
    return _WORD.findall(lowered.replace("'", ""))


def _confidence(words: list[str], start: int, end: int, mark: str) -> float:
    before = words[max(0, start - _BEFORE) : start]
    if words[start] not in phrases.NEGATORS and not phrases.NEGATORS.isdisjoint(before):
        return _NEGATED
    if mark == "?":
        return _IN_PASSING
    if mark == "*" and end < len(words) and words[end] not in phrases.OBJECTS:
        return _WITH_OBJECT
    return _PLAIN
