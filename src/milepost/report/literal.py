"""Text of trajectories is hostile: what cannot be seen, or would move what is seen, is shown as its code point."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters; tab and newline are layout
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible joiners and fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidirectional
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff\ue000-\uf8ff"  # lone surrogates, private use
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    "]"
)
_STACKED = re.compile("([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})")


def code_point(character: str) -> str:
    """Name of a character that cannot be seen, such as "U+202E".

    Args:
        character: one character.

    Returns:
        "U+" and at least four hexadecimal digits.
    """
    return f"U+{ord(character):04X}"


def visible(text: str) -> str:
    """Replace what cannot be seen, or would move what is seen, by its code point in angle brackets.

    Control characters (tab and newline excepted), bidirectional marks, zero-width and private characters, lone
    surrogates, and three or more stacked combining marks are replaced.

    Args:
        text: any string.

    Returns:
        A string that a terminal and a page show as it is, such as "a⟨U+202E⟩b".
    """
    return "".join(f"⟨{code_point(piece.text)}⟩" if piece.hidden else _unstacked(piece.text) for piece in pieces(text))


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of text that is seen as it is, or one character that cannot be seen."""

    text: str
    hidden: bool


def pieces(text: str) -> list[Piece]:
    """Part a text into what is seen and what is not.

    Args:
        text: any string.

    Returns:
        Pieces that make up the string; each hidden one is one character.
    """
    found: list[Piece] = []
    start = 0
    for match in _HIDDEN.finditer(text):
        if match.start() > start:
            found.append(Piece(text=text[start : match.start()], hidden=False))
        found.append(Piece(text=match[0], hidden=True))
        start = match.end()
    if start < len(text):
        found.append(Piece(text=text[start:], hidden=False))
    return found


def _unstacked(text: str) -> str:
    return _STACKED.sub(lambda found: "".join(f"⟨{code_point(mark)}⟩" for mark in found[0]), text)


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """The beginning and the end of a text, and how many characters between them are left out."""

    head: str
    tail: str
    omitted: int


def excerpt(text: str, limit: int) -> Excerpt:
    """Cut a long text in the middle.

    Args:
        text: any string.
        limit: characters to keep, at least 2.

    Returns:
        The whole text as `head` if it is short enough, else its first two thirds and last third of `limit` characters.
    """
    if len(text) <= limit:
        return Excerpt(head=text, tail="", omitted=0)
    tail = limit // 3
    head = limit - tail
    return Excerpt(head=text[:head], tail=text[len(text) - tail :], omitted=len(text) - limit)


def one_line(text: str, width: int) -> str:
    """Show a text on one line of at most `width` characters.

    Args:
        text: any string.
        width: characters at most, at least 1.

    Returns:
        The visible text with line breaks as "⏎", cut with "…".
    """
    flat = visible(text).replace("\n", "⏎").replace("\t", " ")
    return flat if len(flat) <= width else flat[: width - 1] + "…"
