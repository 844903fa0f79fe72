"""What comes back from a program that nobody vouches for: JSON of finite numbers, read with suspicion."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from milepost.errors import FormatError

DEPTH = 32
"""How deep an answer may nest."""


def in_words(text: str) -> str:
    """Text that a program made, fit for a reason: short, on one line, without control characters.

    Args:
        text: anything.

    Returns:
        At most 200 characters.
    """
    line = " ".join(text[:2000].split())[:200]
    return "".join(one if one.isprintable() else "\ufffd" for one in line)


def in_lines(text: str) -> str:
    """Text that a program printed, without control characters; its line breaks and tabs stay.

    Args:
        text: anything.

    Returns:
        As many characters; what cannot be shown is replaced.

    Example:
        >>> in_lines("a" + chr(27) + "[2J")
        'a\ufffd[2J'
    """
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no finite number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _whole(text: str) -> int:
    if len(text) > 300:
        raise ValueError(f"a whole number of {len(text)} digits is too long")
    return int(text)


def _depth(value: object) -> int:
    depth, pending = 0, [value]
    while pending:
        depth += 1
        inner: list[object] = []
        for item in pending:
            if isinstance(item, dict):
                inner += cast("dict[str, object]", item).values()
            elif isinstance(item, list):
                inner += cast("list[object]", item)
        pending = inner
    return depth


def read_answer(text: bytes, *, longest: int) -> Any:
    """Read the JSON that a program answered with; nothing but finite numbers, strings, lists and mappings comes in.

    Args:
        text: what was received.
        longest: bytes that are accepted.

    Returns:
        The value.

    Raises:
        FormatError: too long, not JSON, too deep, half a pair of surrogates, or a number that is not finite or
            absurdly long.

    Example:
        >>> read_answer(b"[1, 2.5]", longest=100)
        [1, 2.5]
    """
    if len(text) > longest:
        raise FormatError(f"the answer has {len(text)} bytes, at most {longest} are accepted")
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the answer is not JSON of finite numbers: {str(error)[:100]}") from error
    if _depth(value) > DEPTH:
        raise FormatError(f"the answer nests deeper than {DEPTH}")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise FormatError("the answer has text that is no Unicode: half of a pair of surrogates") from error
    return value


def number_of(value: object) -> float:
    """Take a program's answer as a reward.

    Args:
        value: what `read_answer` returned.

    Returns:
        A finite number; the sum of the terms where the answer is a mapping of names to numbers.

    Raises:
        FormatError: anything else, such as a string, a list, true or false.
    """
    if isinstance(value, dict) and value:
        return math.fsum(number_of(term) for term in cast("dict[str, object]", value).values())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(f"the program answered {value!r:.60}, expected a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise FormatError("the program answered a whole number that is too large") from error
    if not math.isfinite(number):
        raise FormatError(f"the program answered {number}, expected a finite number")
    return number
