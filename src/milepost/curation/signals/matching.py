"""Phrases in texts: a trie of words is walked from every word on; see `curation.signals.words`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from milepost.curation.signals import phrases
from milepost.curation.signals.flat import Texts
from milepost.curation.signals.taxonomy import NUMBER
from milepost.curation.signals.words import Trie, Words, loops, number_of, table, words_of

_MARKS = {"*": 1, "?": 2}


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
    def kinds(self) -> tuple[int, ...]:
        """Number of the kind of each list."""
        return tuple(NUMBER[kind] for kind in self.lists)

    @cached_property
    def _trie(self) -> Trie:
        children: dict[int, int] = {}
        ends: list[list[tuple[int, int]]] = [[]]
        for kind, text in enumerate(self.lists.values()):
            for line in filter(None, map(str.strip, text.splitlines())):
                node = 0
                for word in line.rstrip("*?").split():
                    edge = node << 46 | number_of(word.encode())
                    if edge not in children:
                        children[edge] = len(ends)
                        ends.append([])
                    node = children[edge]
                ends[node].append((kind, _MARKS.get(line[-1], 0)))
        key = table(list(children))
        child = np.array([children.get(int(edge), 0) for edge in key])
        last = [(kind, mark) for end in ends for kind, mark in end]
        return Trie(
            key=key,
            child=child,
            end=np.array([0, *accumulate(len(end) for end in ends)]),
            kind=np.array([kind for kind, _ in last]),
            mark=np.array([mark for _, mark in last]),
            negators=table([number_of(word.encode()) for word in phrases.NEGATORS]),
            objects=table([number_of(word.encode()) for word in phrases.OBJECTS]),
        )

    def sure(self, words: Words, *, fast: bool) -> NDArray[np.float64]:
        """How sure phrases are meant in each of several texts.

        Args:
            words: of the texts.
            fast: by machine code.

        Returns:
            Array of shape (texts, lists): 0 where no phrase of the list is found. A negation among the four words
            before a phrase, something that follows a phrase marked "*", and phrases marked "?" give a confidence
            below `taxonomy.CERTAIN`.
        """
        found = np.zeros((len(words.first) - 1, len(self.lists)))
        loops(fast=fast)["_find"](words, self._trie if fast else self._lists, found)
        return found

    @cached_property
    def _lists(self) -> Trie:
        return Trie(*(one.tolist() for one in self._trie))

    def find(self, text: str) -> list[Hit]:
        """Hits in a text: the surest of each kind, in order of precedence; see `sure`."""
        words = words_of(Texts.of([text]), fast=False)
        (found,) = self.sure(words, fast=False).tolist()
        return [Hit(kind, sure) for kind, sure in zip(self.kinds, found, strict=True) if sure]
