"""Loops over the bytes and words of a batch of texts: plain functions on arrays, compiled for large batches.

A word is a run of letters from A to Z and digits, without case; apostrophes, also curly ones, are no part of it and do
not end it. It is held as a number made of its bytes,

    number(w) = (257 number(w without its last byte) + last byte) mod 2^46,

so that words of up to five letters differ for sure, and others but for one pair in 7e13.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from milepost import optional
from milepost.curation.signals.flat import Calls, Texts

Numbers = NDArray[np.int64]

_WORD, _MARK = re.compile(rb"[a-z0-9]+"), re.compile("'|\u2018|\u2019".encode())
_CAPITAL, _DOUBLED = re.compile(rb"[A-Z]"), re.compile(rb"[!?]{2}")
_MASK = (1 << 46) - 1
_FREE = -1
_APOSTROPHE = 39
_EXCLAMATION, _QUESTION = 33, 63
BEFORE = 4
"""Words before a phrase in which a negation turns it around."""
PLAIN, NEGATED, IN_PASSING, WITH_OBJECT = 0.9, 0.2, 0.3, 0.3
"""How sure a phrase is meant: as it is, after a negation, in words said in passing, and followed by something else."""
_CRC = np.array([zlib.crc32(bytes([byte]), 0xFFFFFFFF) ^ 0xFFFFFFFF for byte in range(256)], dtype=np.int64)
SIDE = 16
"""Bytes by which messages are compared before their words are."""


class Words(NamedTuple):
    """Words of texts, and what their characters are like."""

    number: Numbers
    first: Numbers
    """Of each text, and behind the last one."""
    capitals: Numbers
    """Letters from A to Z of each text that are capital."""
    doubled: NDArray[np.bool_]
    """Whether a text has two or more of ? and ! in a row."""


class Trie(NamedTuple):
    """Phrases as paths of words; what ends at a node stands in rows `end[node]` to `end[node + 1]`."""

    key: Numbers
    """Node and word of an edge, in the order of a hash table; -1: none."""
    child: Numbers
    end: Numbers
    kind: Numbers
    """Place of the list that a phrase is from."""
    mark: Numbers
    """0: none, 1: "*", 2: "?"."""
    negators: Numbers
    objects: Numbers


def number_of(word: bytes) -> int:
    """Number of a word in lower case."""
    number = 0
    for byte in word:
        number = (number * 257 + byte) & _MASK
    return number


def table(keys: Sequence[int]) -> Numbers:
    """A hash table of numbers that are not negative: each stands at its remainder or behind, -1 is nothing."""
    slots = np.full(4 * len(keys) + 3, _FREE, dtype=np.int64)
    for key in keys:
        place = key % len(slots)
        while slots[place] not in (_FREE, key):
            place = (place + 1) % len(slots)
        slots[place] = key
    return slots


def _at(slots: Numbers, key: int) -> int:
    """Place of a number in a hash table; -1 where it is not there."""
    size = len(slots)
    place = key % size
    while slots[place] != key:
        if slots[place] < 0:
            return -1
        place = place + 1 if place + 1 < size else 0
    return place


def _split(data: Any, offsets: Numbers, words: Words) -> int:
    """Fill the tables of words; return how many there are."""
    count = 0
    for row in range(len(offsets) - 1):
        words.first[row] = count
        place, stop = offsets[row], offsets[row + 1]
        number, capitals, marks = 0, 0, 0
        doubled, inside = False, False
        while place < stop:
            byte = data[place]
            place += 1
            if byte in (_EXCLAMATION, _QUESTION):
                marks += 1
                doubled = doubled or marks > 1
            else:
                marks = 0
            if byte == 0xE2 and place + 2 <= stop and data[place] == 0x80 and data[place + 1] in (0x98, 0x99):
                place += 2
                continue
            if 65 <= byte <= 90:
                capitals += 1
                byte += 32
            if 97 <= byte <= 122 or 48 <= byte <= 57:
                number, inside = (number * 257 + byte) & _MASK, True
            elif inside and byte != _APOSTROPHE:
                words.number[count] = number
                count, number, inside = count + 1, 0, False
        if inside:
            words.number[count] = number
            count += 1
        words.capitals[row], words.doubled[row] = capitals, doubled
    words.first[len(offsets) - 1] = count
    return count


def _name(data: Any, offsets: Numbers, sizes: Numbers, numbers: Numbers) -> None:
    """Fill a number for the first bytes of each text: equal for equal bytes, and nearly never for others."""
    for row in range(len(sizes)):
        number = 0
        for place in range(offsets[row], offsets[row] + sizes[row]):
            number = (number * 257 + data[place] + 1) & _MASK
        numbers[row] = number


def _checksum(data: Any, offsets: Numbers, table: Numbers, sums: Numbers) -> None:
    """Fill the CRC-32 of each text; the table is that of one byte."""
    for row in range(len(sums)):
        state = 0xFFFFFFFF
        for place in range(offsets[row], offsets[row + 1]):
            state = table[(state ^ data[place]) & 0xFF] ^ state >> 8
        sums[row] = state ^ 0xFFFFFFFF


def _sureness(words: Words, row: int, start: int, stop: int, trie: Trie, mark: int) -> float:
    """How sure a phrase is meant that was found in a text, from its first word to behind its last."""
    if _at(trie.negators, words.number[start]) < 0:
        for place in range(max(words.first[row], start - BEFORE), start):
            if _at(trie.negators, words.number[place]) >= 0:
                return NEGATED
    if mark == 2:
        return IN_PASSING
    if mark == 1 and stop < words.first[row + 1] and _at(trie.objects, words.number[stop]) < 0:
        return WITH_OBJECT
    return PLAIN


def _find(words: Words, trie: Trie, sure: NDArray[np.float64]) -> None:
    """Fill how sure each text means a phrase of each list: the surest of its phrases there, 0 for none."""
    for row in range(len(sure)):
        last = words.first[row + 1]
        for start in range(words.first[row], last):
            node, stop = 0, start
            while stop < last:
                place = _at(trie.key, node << 46 | words.number[stop])
                if place < 0:
                    break
                node, stop = trie.child[place], stop + 1
                for end in range(trie.end[node], trie.end[node + 1]):
                    kind = trie.kind[end]
                    sure[row, kind] = max(sure[row, kind], _sureness(words, row, start, stop, trie, trie.mark[end]))


def _telling(words: Words, idle: Numbers, found: Words) -> int:
    """Fill the words of each text but the idle ones, each once; return how many there are."""
    count = 0
    for row in range(len(words.first) - 1):
        begin = found.first[row] = count
        for place in range(words.first[row], words.first[row + 1]):
            number = words.number[place]
            if _at(idle, number) < 0 and not _holds(found.number, begin, count, number):
                found.number[count] = number
                count += 1
    found.first[len(words.first) - 1] = count
    return count


def _holds(numbers: Numbers, start: int, stop: int, wanted: int) -> bool:
    """Whether a number is among others."""
    for place in range(start, stop):  # noqa: SIM110 (numba compiles no such generator)
        if numbers[place] == wanted:
            return True
    return False


def _shared(words: Words, row: int, most: int) -> int:
    """How many words of a text the text before has; -1 as soon as more than `most` are new."""
    start, middle, stop = words.first[row - 1], words.first[row], words.first[row + 1]
    new = 0
    for place in range(middle, stop):
        if not _holds(words.number, start, middle, words.number[place]):
            new += 1
            if new > most:
                return -1
    return stop - middle - new


def _said_again(
    words: Words, near: NDArray[np.bool_], rule: tuple[int, float, float], again: NDArray[np.bool_]
) -> None:
    """Mark texts that say again what the one before says.

    Args:
        words: the telling words of each text, each once.
        near: whether a text is close enough to the one before.
        rule: fewest words of either, least share of the smaller one that both have, largest share that is new.
        again: takes the marks.
    """
    fewest, overlap, new = rule
    for row in range(1, len(near)):
        one, two = words.first[row] - words.first[row - 1], words.first[row + 1] - words.first[row]
        if near[row] and min(one, two) >= fewest:
            again[row] = _shared(words, row, int(new * two)) >= overlap * min(one, two)


def _same_side(data: Any, one: tuple[int, int], two: tuple[int, int]) -> bool:
    """Whether two texts begin or end with the same 16 bytes; shorter ones are the same as a whole, or not at all."""
    size = min(SIDE, one[1] - one[0])
    if size != min(SIDE, two[1] - two[0]):
        return False
    head = tail = True
    for place in range(size):
        head = head and data[one[0] + place] == data[two[0] + place]
        tail = tail and data[one[1] - 1 - place] == data[two[1] - 1 - place]
        if not head and not tail:
            return False
    return True


def _alike(data: Any, offsets: Numbers, trace: Numbers, back: int, found: NDArray[np.bool_]) -> None:
    """Mark texts that begin or end like the one so many before it in the conversation."""
    for row in range(back, len(trace)):
        if trace[row] == trace[row - back]:
            one, two = (offsets[row - back], offsets[row - back + 1]), (offsets[row], offsets[row + 1])
            if _same_side(data, one, two):
                found[row] = True


@lru_cache(maxsize=2)
def loops(*, fast: bool) -> dict[str, Any]:
    """The functions above by name, as machine code where `fast`; compiling takes seconds, once per machine."""
    functions: list[Any] = [_at, _split, _name, _checksum, _sureness, _find, _holds]
    functions += [_telling, _shared, _said_again, _same_side, _alike]
    if not fast:
        return {function.__name__: function for function in functions}
    return optional.machine_code(*functions, extra="triage", purpose="A fast triage")


def words_of(texts: Texts, *, fast: bool) -> Words:
    """Words of texts.

    Args:
        texts: the texts.
        fast: by machine code.

    Returns:
        The words, text by text; in lists instead of arrays where not `fast`, which are faster to go through.
    """
    if not fast:
        return _plainly(texts)
    rows = len(texts)
    found = Words(
        np.empty((len(texts.data) + rows) // 2 + 1, dtype=np.int64),
        np.empty(rows + 1, dtype=np.int64),
        np.empty(rows, dtype=np.int64),
        np.empty(rows, dtype=np.bool_),
    )
    count = loops(fast=True)["_split"](texts.data, texts.offsets, found)
    return found._replace(number=found.number[:count])


class _Numbered(dict[bytes, int]):
    """Words and their numbers, each worked out once."""

    def __missing__(self, word: bytes) -> int:
        self[word] = number_of(word)
        return self[word]


def _plainly(texts: Texts) -> Words:
    """The same as `split` by the standard library."""
    known, number = _Numbered(), list[int]()
    first, capitals, doubled = [0], list[int](), list[bool]()
    for row in range(len(texts)):
        raw = texts.raw(row)
        number.extend(map(known.__getitem__, spelled(raw)))
        first.append(len(number))
        capitals.append(len(_CAPITAL.findall(raw)))
        doubled.append(_DOUBLED.search(raw) is not None)
    lists: Any = (number, first, capitals, doubled)
    return Words(*lists)


def spelled(raw: bytes) -> list[bytes]:
    """Words of a text in UTF-8, spelled out in lower case."""
    return _WORD.findall(_MARK.sub(b"", raw).lower())  # of bytes, only the letters from A to Z have a lower case


def names_of(calls: Calls, *, fast: bool) -> Numbers:
    """Numbers of the names of calls: equal for equal names, and nearly never for others.

    Args:
        calls: the calls.
        fast: by machine code.

    Returns:
        One number per call.
    """
    spelled = calls.spelled
    numbers = np.empty(len(spelled), dtype=np.int64)
    if fast:
        loops(fast=True)["_name"](spelled.data, spelled.offsets, calls.name_size, numbers)
    else:
        known: dict[bytes, int] = {}
        numbers[:] = [known.setdefault(spelled.raw(row)[:size], row) for row, size in enumerate(calls.name_size)]
    return numbers


def checksums(texts: Texts, *, fast: bool) -> Numbers:
    """CRC-32 of each text.

    Args:
        texts: the texts.
        fast: by machine code.

    Returns:
        One number per text, from 0 to 2^32 - 1.
    """
    if not fast:
        data, cuts = texts.data.tobytes(), texts.offsets.tolist()
        return np.array([zlib.crc32(data[start:stop]) for start, stop in pairwise(cuts)], dtype=np.int64)
    sums = np.empty(len(texts), dtype=np.int64)
    loops(fast=True)["_checksum"](texts.data, texts.offsets, _CRC, sums)
    return sums
