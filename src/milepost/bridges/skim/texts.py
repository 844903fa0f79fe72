"""Texts of skimmed messages without their escapes, one after the other in one array of bytes, long ones cut.

The functions are compiled; see `optional.machine_code`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from milepost.bridges.skim.json_bytes import Bytes, Eights, eight, escape_end, hexadecimal, to_slash
from milepost.bridges.skim.messages import Calls

Places = NDArray[np.int64]

_SLASH, _LETTER_U, _BREAK, _BLANK = 92, 117, 10, 32
_CONTROLS = np.zeros(128, dtype=np.uint8)
for _letter, _meant in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _CONTROLS[_letter] = _meant


class Out(NamedTuple):
    """Memory that takes texts."""

    data: Bytes
    eights: Eights


def _encoded(code: int, out: Bytes, place: int) -> int:
    """Write a code point in UTF-8; return the place behind it."""
    if code < 0x80:
        out[place] = code
        return place + 1
    if code < 0x800:
        out[place] = 0xC0 | code >> 6
    else:
        if code < 0x10000:
            out[place] = 0xE0 | code >> 12
        else:
            out[place], out[place + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
            place += 1
        out[place + 1] = 0x80 | code >> 6 & 0x3F
        place += 1
    out[place + 1] = 0x80 | code & 0x3F
    return place + 2


def _unescaped(data: Bytes, place: int, out: Bytes, to: int) -> tuple[int, int]:
    """Write what an escape means; return the places behind both."""
    stop = escape_end(data, place)
    if data[place + 1] != _LETTER_U:
        out[to] = _CONTROLS[data[place + 1]]
        return stop, to + 1
    code = hexadecimal(data, place + 2)
    if stop == place + 12:
        code = 0x10000 + ((code - 0xD800) << 10) + hexadecimal(data, place + 8) - 0xDC00
    return stop, _encoded(code, out, to)


def _copied(data: Bytes, eights: Eights, start: int, stop: int, out: Out, to: int) -> int:
    """Copy a text without its escapes; return the place behind it. What is written behind that is overwritten."""
    while start < stop:
        word = eights[start]
        out.eights[to] = word
        size = min(to_slash(word), stop - start)
        start, to = start + size, to + size
        if size < 8 and start < stop:
            start, to = _unescaped(data, start, out.data, to)
    return to


def _is_begin(byte: int) -> bool:
    """Whether a character begins with a byte of UTF-8."""
    return byte & 0xC0 != 0x80


def _cut(out: Bytes, start: int, stop: int, head: int, tail: int) -> int:
    """Cut a text that is longer than so many characters at its beginning and its end; return its new end."""
    if stop - start <= head + tail:
        return stop
    count, one, two = 0, start, stop
    for place in range(start, stop):
        if _is_begin(out[place]):
            if count == head:
                one = place
            count += 1
    if count <= head + tail:
        return stop
    while tail > 0:
        two -= 1
        tail -= 1 if _is_begin(out[two]) else 0
    out[one] = _BREAK
    for place in range(stop - two):
        out[one + 1 + place] = out[two + place]
    return one + 1 + stop - two


class Keys(NamedTuple):
    """Groups of four bytes to look for, in a hash table without collisions."""

    slots: NDArray[np.uint64]
    factor: np.uint64


_FOLD, _FOUR = np.uint64(0x20202020), np.uint64(0xFFFFFFFF)


def keys_of(groups: Sequence[str]) -> Keys:
    """A table of groups of four characters; letters are compared without case.

    Args:
        groups: the groups, of ASCII.

    Returns:
        The table.

    Raises:
        ValueError: a group has not four characters.
    """
    if any(len(group.encode()) != 4 for group in groups):
        raise ValueError(f"Groups of other than four characters: {[one for one in groups if len(one) != 4]}.")
    words = sorted({int(eight(group.encode()) | _FOLD) for group in groups})
    tries = 10_000 if len(words) < 1 << 10 else 0
    for factor in range(0x9E3779B1, 0x9E3779B1 + 2 * tries, 2):
        places = [(word * factor & 0xFFFFFFFF) >> 20 for word in words]
        if len(set(places)) == len(words):
            slots = np.zeros(1 << 12, dtype=np.uint64)
            slots[places] = words
            return Keys(slots, np.uint64(factor))
    raise ValueError(f"{len(words)} groups are too many for a table of {1 << 12}: give at most some hundred.")


def _is_key(word: np.uint64, keys: Keys) -> bool:
    folded = (word | _FOLD) & _FOUR
    return keys.slots[((folded * keys.factor) & _FOUR) >> np.uint64(20)] == folded


def holding(data: Bytes, eights: Eights, sides: tuple[Places, Places], keys: Keys, found: NDArray[np.bool_]) -> None:
    """Mark texts that hold a key, or an escape of a code point, which may spell one.

    Args:
        data: the lines.
        eights: of the lines.
        sides: where each text begins, and where it ends.
        keys: what is looked for.
        found: takes the marks.
    """
    start, stop = sides
    for row in range(len(start)):
        found[row] = False
        for place in range(start[row], stop[row] - 3):
            if _is_key(eights[place], keys) or (data[place] == _SLASH and data[place + 1] == _LETTER_U):
                found[row] = True
                break


def gather(
    data: Bytes, eights: Eights, sides: tuple[Places, Places], length: tuple[int, int], out: Out, offsets: Places
) -> int:
    """Copy texts one after the other.

    Args:
        data: the lines.
        eights: of the lines.
        sides: where each text begins, and where it ends.
        length: characters of the beginning and the end that are kept of a longer text.
        out: takes the texts; as long as they are together, and 8 bytes longer.
        offsets: takes where each begins, and where the last one ends.

    Returns:
        Number of bytes.
    """
    start, stop = sides
    to = 0
    for row in range(len(start)):
        offsets[row] = to
        end = _copied(data, eights, start[row], stop[row], out, to)
        to = _cut(out.data, to, end, length[0], length[1])
    offsets[len(start)] = to
    return to


def spell(data: Bytes, eights: Eights, calls: Calls, rows: Places, out: Out, offsets: Places, names: Places) -> int:
    """Copy calls one after the other, each as its name, a blank and its arguments.

    Args:
        data: the lines.
        eights: of the lines.
        calls: where they stand.
        rows: those that are wanted.
        out: takes them.
        offsets: takes where each begins, and where the last one ends.
        names: takes the bytes of each name.

    Returns:
        Number of bytes.
    """
    to = 0
    for place in range(len(rows)):
        row = int(rows[place])
        offsets[place] = to
        to = _copied(data, eights, calls.name_start[row], calls.name_stop[row], out, to)
        names[place] = to - offsets[place]
        out.data[to] = _BLANK
        to = _copied(data, eights, calls.start[row], calls.stop[row], out, to + 1)
    offsets[len(rows)] = to
    return to


KERNELS: tuple[Any, ...] = (_encoded, _unescaped, _copied, _is_begin, _cut, _is_key, holding, gather, spell)
"""What is compiled, in this order."""
