"""JSON read byte by byte: where texts, numbers and values end, and whether they are well formed.

Each function takes a place and returns the place behind what begins there, or -1 where that is not so, or not for sure:
what is rare (deep nesting, numbers of many digits, keys with escapes) is left to the parser. Behind a text stand zero
bytes, at which everything ends. The functions are compiled; see `optional.machine_code`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Eights = NDArray[np.uint64]
"""Eight bytes of a text as one number, from every place on."""

PADDING = 16
"""Zero bytes behind a text."""


def eight(text: bytes) -> np.uint64:
    """Up to eight bytes as a number."""
    return np.uint64(int.from_bytes(text[:8], "little"))


_QUOTES, _SLASHES, _BLANKS = eight(b'"' * 8), eight(b"\\" * 8), eight(b" " * 8)
_ONES, _TOPS, _ONE = eight(b"\x01" * 8), eight(b"\x80" * 8), np.uint64(1)
MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)
"""The first so many bytes of eight."""
NULL, _TRUE, _FALSE = eight(b"null"), eight(b"true"), eight(b"alse")
_DEPTH = 60
_DIGITS, _EXPONENT = 100, 2
"""Longest numbers that are read, in bytes and in digits of the exponent: far from where they overflow."""
QUOTE, _SLASH, _COLON, COMMA = 34, 92, 58, 44
OPEN, CLOSE, OPEN_ARRAY, CLOSE_ARRAY = 123, 125, 91, 93
_NO_KEY = (-1, -1, -1)


def _lowest(found: np.uint64) -> int:
    """Which of eight bytes is the lowest whose top bit is set."""
    below = (found & (~found + _ONE)) - _ONE
    return int(((below & _ONES) * _ONES) >> np.uint64(56)) - 1


def special(eights: Eights, place: int) -> int:
    """The next quotation mark, backslash or control character."""
    while True:
        word = eights[place]
        quote, slash = word ^ _QUOTES, word ^ _SLASHES
        found = ((quote - _ONES) & ~quote | (slash - _ONES) & ~slash | (word - _BLANKS) & ~word) & _TOPS
        if found != 0:
            return place + _lowest(found)
        place += 8


def to_slash(word: np.uint64) -> int:
    """How many of eight bytes stand before the first backslash."""
    slash = word ^ _SLASHES
    found = (slash - _ONES) & ~slash & _TOPS
    return _lowest(found) if found != 0 else 8


def hexadecimal(data: Bytes, place: int) -> int:
    """The number that four hexadecimal digits spell; -1 where they are none."""
    value = 0
    for byte in data[place : place + 4]:
        digit = int(byte) - 48
        if digit > 9:
            digit = (int(byte) | 32) - 87
            if digit < 10:
                return -1
        if digit < 0 or digit > 15:
            return -1
        value = value * 16 + digit
    return value


def escape_end(data: Bytes, place: int) -> int:
    """The place behind an escape; -1 where it is none, or half of a pair of surrogates."""
    kind = data[place + 1]
    if kind != 117:  # u
        return place + 2 if kind in (34, 92, 47, 98, 102, 110, 114, 116) else -1
    code = hexadecimal(data, place + 2)
    if code < 0 or 0xDC00 <= code < 0xE000:
        return -1
    if code < 0xD800 or code >= 0xE000:
        return place + 6
    if data[place + 6] != _SLASH or data[place + 7] != 117:
        return -1
    low = hexadecimal(data, place + 8)
    return place + 12 if 0xDC00 <= low < 0xE000 else -1


def text_end(data: Bytes, eights: Eights, place: int) -> tuple[int, bool]:
    """The quotation mark that ends a text which begins here, or -1, and whether there are escapes before it."""
    escaped = False
    while True:
        place = special(eights, place)
        if data[place] == QUOTE:
            return place, escaped
        if data[place] != _SLASH:
            return -1, escaped
        place, escaped = escape_end(data, place), True
        if place < 0:
            return -1, escaped


def blank_end(data: Bytes, place: int) -> int:
    """The first byte that is no blank."""
    while data[place] == 32 or data[place] == 9 or data[place] == 13:
        place += 1
    return place


def _digits_end(data: Bytes, place: int) -> int:
    """The first byte that is no digit."""
    while 48 <= data[place] <= 57:
        place += 1
    return place


def _number_end(data: Bytes, place: int) -> int:
    """The place behind a number; -1 where there is none, or one that is long."""
    start = place
    if data[place] == 45:
        place += 1
    stop = _digits_end(data, place)
    if stop == place or (data[place] == 48 and stop > place + 1):
        return -1
    if data[stop] == 46:
        place, stop = stop + 1, _digits_end(data, stop + 1)
        if stop == place:
            return -1
    if data[stop] | 32 == 101:
        place = stop + 2 if data[stop + 1] == 43 or data[stop + 1] == 45 else stop + 1
        stop = _digits_end(data, place)
        if stop == place or stop - place > _EXPONENT:
            return -1
    return stop if stop - start <= _DIGITS else -1


def _plain_end(data: Bytes, eights: Eights, place: int) -> int:
    """The place behind a text, a number, true, false or null; -1 where there is none."""
    if data[place] == QUOTE:
        end, _ = text_end(data, eights, place + 1)
        return end + 1 if end >= 0 else -1
    word = eights[place] & MASKS[4]
    if word in (NULL, _TRUE):
        return place + 4
    if data[place] == 102 and eights[place + 1] & MASKS[4] == _FALSE:
        return place + 5
    return _number_end(data, place)


def key(data: Bytes, eights: Eights, place: int) -> tuple[int, int, int]:
    """A key that begins here: from, to, and the place of its value; -1 where there is none, or one with escapes."""
    place = blank_end(data, place)
    if data[place] != QUOTE:
        return _NO_KEY
    end, escaped = text_end(data, eights, place + 1)
    if end < 0 or escaped:
        return _NO_KEY
    colon = blank_end(data, end + 1)
    if data[colon] != _COLON:
        return _NO_KEY
    return place + 1, end, blank_end(data, colon + 1)


def value_end(data: Bytes, eights: Eights, place: int) -> int:
    """The place behind a value of any kind; -1 where there is none, or one that is deep."""
    objects, depth = 0, 0  # a bit per level: an object, not an array
    while True:
        place = blank_end(data, place)
        opens = data[place] == OPEN
        if opens or data[place] == OPEN_ARRAY:
            objects, depth = objects * 2 + (1 if opens else 0), depth + 1
            place = blank_end(data, place + 1)
            closed = data[place] == (CLOSE if opens else CLOSE_ARRAY)
            if not closed and opens:
                place = key(data, eights, place)[2]
            if place < 0 or depth > _DEPTH:
                return -1
            if not closed:
                continue
        else:
            place = _plain_end(data, eights, place)
            if place < 0 or depth == 0:
                return place
            place = blank_end(data, place)
        while depth > 0 and data[place] == (CLOSE if objects % 2 else CLOSE_ARRAY):
            objects, depth = objects // 2, depth - 1
            if depth == 0:
                return place + 1
            place = blank_end(data, place + 1)
        if data[place] != COMMA:
            return -1
        place = key(data, eights, place + 1)[2] if objects % 2 else place + 1
        if place < 0:
            return -1


def member_end(data: Bytes, place: int) -> int:
    """The comma or the bracket behind a member of an object; -1 where there is neither, or no member (place < 1)."""
    if place < 1:
        return -1
    place = blank_end(data, place)
    return place if data[place] == COMMA or data[place] == CLOSE else -1


KERNELS: tuple[Any, ...] = (
    *(_lowest, special, to_slash, hexadecimal, escape_end, text_end, blank_end),
    *(_digits_end, _number_end, _plain_end, key, value_end, member_end),
)
"""What is compiled, in this order."""
