"""Where the messages of chat completions stand in JSON lines, found from the bytes without an object for each.

A line is skimmed when it is a JSON object with `messages`, each message a role, a text and calls in the commonest
shape. Every other line, well formed or not, is odd: whoever reads it parses it. So what is skimmed is what the parser
would read, and faults are worded in one place. The functions are compiled; see `optional.machine_code`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from milepost.bridges.skim.json_bytes import (
    CLOSE,
    CLOSE_ARRAY,
    COMMA,
    MASKS,
    NULL,
    OPEN,
    OPEN_ARRAY,
    QUOTE,
    Bytes,
    Eights,
    blank_end,
    eight,
    key,
    member_end,
    text_end,
    value_end,
)

EMPTY, SKIMMED, ODD = 0, 1, 2
"""What a line is: blank, skimmed, or to be parsed."""
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
"""Numbers of roles are places here."""


class Lines(NamedTuple):
    """Lines of a text."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    """Behind its last byte that is no line break."""
    kind: NDArray[np.int8]
    messages_start: NDArray[np.int64]
    """First byte of the value of `messages`."""
    messages_stop: NDArray[np.int64]
    first: NDArray[np.int64]
    """Row of the first message in `Messages`; the next line's is behind the last."""


class Messages(NamedTuple):
    """Messages of skimmed lines, and the calls in them; texts from and to, without their quotation marks."""

    role: NDArray[np.int8]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    """At most `start` where there is no text."""


class Calls(NamedTuple):
    """Calls of tools."""

    message: NDArray[np.int64]
    """Row of the message."""
    name_start: NDArray[np.int64]
    name_stop: NDArray[np.int64]
    start: NDArray[np.int64]
    """Of the arguments, which are a text."""
    stop: NDArray[np.int64]


_MESSAGES, _CONTENT, _ROLE = eight(b"messages"), eight(b"content"), eight(b"role")
_TOOL_CALLS, _OL_CALLS = eight(b"tool_calls"), eight(b"ol_calls")
_FUNCTION, _NAME = eight(b"function"), eight(b"name")
_ARGUMENTS, _RGUMENTS = eight(b"arguments"), eight(b"rguments")
_SYSTEM, _USER, _TOOL = eight(b"system"), eight(b"user"), eight(b"tool")
_DEVELOPER, _EVELOPER = eight(b"developer"), eight(b"eveloper")
_ASSISTANT, _SSISTANT = eight(b"assistant"), eight(b"ssistant")
_IS_ROLE, _IS_CONTENT, _IS_CALLS, _IS_FUNCTION, _IS_NAME, _IS_ARGUMENTS, _IS_MESSAGES = 1, 2, 4, 8, 16, 32, 64


def _field(eights: Eights, start: int, stop: int) -> int:
    """Which of the fields that matter a key names; 0 for all others."""
    size, word = stop - start, eights[start]
    if size == 4:
        word &= MASKS[4]
        return _IS_ROLE if word == _ROLE else _IS_NAME if word == _NAME else 0
    if size == 7:
        return _IS_CONTENT if word & MASKS[7] == _CONTENT else 0
    if size == 8:
        return _IS_MESSAGES if word == _MESSAGES else _IS_FUNCTION if word == _FUNCTION else 0
    if size == 9:
        return _IS_ARGUMENTS if word == _ARGUMENTS and eights[start + 1] == _RGUMENTS else 0
    return _IS_CALLS if size == 10 and word == _TOOL_CALLS and eights[start + 2] == _OL_CALLS else 0


def _speaker(eights: Eights, start: int, stop: int) -> int:
    """Number of a role; -1 for none."""
    size, word = stop - start, eights[start]
    if size == 4:
        word &= MASKS[4]
        return 2 if word == _USER else 4 if word == _TOOL else -1
    if size == 6:
        return 0 if word & MASKS[6] == _SYSTEM else -1
    if size == 8:
        return 5 if word == _FUNCTION else -1
    if size == 9 and word == _ASSISTANT and eights[start + 1] == _SSISTANT:
        return 3
    return 1 if size == 9 and word == _DEVELOPER and eights[start + 1] == _EVELOPER else -1


def _function(data: Bytes, eights: Eights, place: int, calls: Calls, row: int) -> int:
    """Read an object with a name and arguments as text; return the place behind it, -1 for any other."""
    if data[place] != OPEN:
        return -1
    seen = 0
    while data[place] != CLOSE:
        start, stop, place = key(data, eights, place + 1)
        if place < 0:
            return -1
        named = _field(eights, start, stop)
        if named in (_IS_NAME, _IS_ARGUMENTS):
            start = place + 1
            if data[place] != QUOTE or seen & named:
                return -1
            stop, _ = text_end(data, eights, start)
            place, seen = stop + 1, seen | named
            if named == _IS_NAME:
                calls.name_start[row], calls.name_stop[row] = start, stop
            else:
                calls.start[row], calls.stop[row] = start, stop
        else:
            place = value_end(data, eights, place)
        place = member_end(data, place)
        if place < 0:
            return -1
    return place + 1 if seen == _IS_NAME | _IS_ARGUMENTS else -1


def _call(data: Bytes, eights: Eights, place: int, calls: Calls, row: int) -> int:
    """Read a call; return the place behind it, -1 for one that is not of the commonest shape."""
    if data[place] != OPEN:
        return -1
    known = False
    while data[place] != CLOSE:
        start, stop, place = key(data, eights, place + 1)
        if place < 0:
            return -1
        if _field(eights, start, stop) == _IS_FUNCTION:
            if known:
                return -1
            place, known = _function(data, eights, place, calls, row), True
        else:
            place = value_end(data, eights, place)
        place = member_end(data, place)
        if place < 0:
            return -1
    return place + 1 if known else -1


def _called(data: Bytes, eights: Eights, place: int, calls: Calls, rows: tuple[int, int]) -> tuple[int, int]:
    """Read the calls of a message (rows: that of the message, and of its first call): place behind, row behind."""
    message, row = rows
    if eights[place] & MASKS[4] == NULL:
        return place + 4, row
    if data[place] != OPEN_ARRAY:
        return -1, row
    place = blank_end(data, place + 1)
    while data[place] != CLOSE_ARRAY:
        calls.message[row] = message
        place = _call(data, eights, place, calls, row)
        if place < 0:
            return -1, row
        row, place = row + 1, blank_end(data, place)
        if data[place] == COMMA:
            place = blank_end(data, place + 1)
            if data[place] == CLOSE_ARRAY:
                return -1, row
        elif data[place] != CLOSE_ARRAY:
            return -1, row
    return place + 1, row


def _message(
    data: Bytes, eights: Eights, place: int, messages: Messages, calls: Calls, rows: tuple[int, int]
) -> tuple[int, int]:
    """Read a message (rows: its own, and that of its first call): the place behind it, the row behind its calls."""
    if data[place] != OPEN:
        return -1, 0
    row, seen = rows[0], 0
    messages.start[row] = messages.stop[row] = 0
    last = rows[1]
    while data[place] != CLOSE:
        start, stop, place = key(data, eights, place + 1)
        if place < 0:
            return -1, 0
        named = _field(eights, start, stop) & (_IS_ROLE | _IS_CONTENT | _IS_CALLS)
        if seen & named:
            return -1, 0
        seen |= named
        if named == _IS_CALLS:
            place, last = _called(data, eights, place, calls, rows)
        elif named == 0 or (named == _IS_CONTENT and eights[place] & MASKS[4] == NULL):
            place = value_end(data, eights, place)
        elif data[place] != QUOTE:
            return -1, 0
        else:
            start = place + 1
            stop, escaped = text_end(data, eights, start)
            place = stop + 1
            if named == _IS_CONTENT:
                messages.start[row], messages.stop[row] = start, stop
            else:
                messages.role[row] = -1 if escaped or stop < 0 else _speaker(eights, start, stop)
        place = member_end(data, place)
        if place < 0:
            return -1, 0
    return place + 1 if seen & _IS_ROLE and messages.role[row] >= 0 else -1, last


def _conversation(
    data: Bytes, eights: Eights, place: int, lines: Lines, row: int, into: tuple[Messages, Calls, int, int]
) -> tuple[int, int, int]:
    """Read a line (into: tables, and their next rows): the place of its end, the rows behind; -1 for an odd line."""
    messages, calls, one, two = into
    known = False
    while data[place] != CLOSE:
        start, stop, place = key(data, eights, place + 1)
        if place < 0:
            return -1, 0, 0
        if _field(eights, start, stop) == _IS_MESSAGES:
            if known or data[place] != OPEN_ARRAY:
                return -1, 0, 0
            known, lines.messages_start[row], lines.first[row] = True, place, one
            while data[place] != CLOSE_ARRAY:
                place = blank_end(data, place + 1)
                place, two = _message(data, eights, place, messages, calls, (one, two))
                if place < 0:
                    return -1, 0, 0
                one, place = one + 1, blank_end(data, place)
                if data[place] != COMMA and data[place] != CLOSE_ARRAY:
                    return -1, 0, 0
            place += 1
            lines.messages_stop[row] = place
        else:
            place = value_end(data, eights, place)
        place = member_end(data, place)
        if place < 0:
            return -1, 0, 0
    return blank_end(data, place + 1) if known else -1, one, two


def skim(
    data: Bytes, eights: Eights, size: tuple[int, int], lines: Lines, messages: Messages, calls: Calls
) -> tuple[int, int, int]:
    """Skim lines; the tables must be long enough.

    Args:
        data: the text, with `json_bytes.PADDING` zero bytes behind it.
        eights: of the text, from every place on.
        size: of the text, and of the longest line, in bytes.
        lines: takes the lines.
        messages: takes their messages.
        calls: takes their calls.

    Returns:
        Numbers of lines, messages and calls.
    """
    place, row, one, two = 0, 0, 0, 0
    stop, limit = size
    while place < stop:
        lines.start[row], lines.first[row] = place, one
        begin = blank_end(data, place)
        end, more, further = -1, 0, 0
        lines.kind[row] = EMPTY if data[begin] == 10 or begin == stop else ODD
        if data[begin] == OPEN:
            end, more, further = _conversation(data, eights, begin, lines, row, (messages, calls, one, two))
            if 0 <= end < place + limit and (data[end] == 10 or end == stop):
                lines.kind[row], lines.first[row], place, one, two = SKIMMED, one, end, more, further
        while data[place] != 10 and place < stop:
            place += 1
        lines.stop[row] = place
        place, row = place + 1, row + 1
    lines.first[row] = one
    return row, one, two


KERNELS: tuple[Any, ...] = (_field, _speaker, _function, _call, _called, _message, _conversation, skim)
"""What is compiled, in this order."""
