"""Strict reading of verdicts: exactly one tag, at the end, with a word that was allowed; anything else is unusable."""

from __future__ import annotations

import re
from collections.abc import Sequence

from milepost.errors import FormatError
from milepost.rewards.judging.judge import Rubric, places
from milepost.rewards.judging.prompts import TAG

_VERDICT = re.compile(rf"<{TAG}>([^<>]*)</{TAG}>\s*\Z")
_RANKING = re.compile(rf"<{TAG}>([0-9\s>=]*)</{TAG}>\s*\Z")


def _verdict(text: str, form: re.Pattern[str]) -> str:
    opened = text.count(f"<{TAG}>")
    if opened != 1 or text.count(f"</{TAG}>") != 1:
        raise FormatError(f"the reply has {opened} verdicts, expected 1")
    found = form.search(text)
    if found is None:
        raise FormatError("the reply does not end with its verdict, or the verdict holds markup")
    return found.group(1).strip()


def read_score(text: str, rubric: Rubric) -> float:
    """Read a score.

    Args:
        text: a reply.
        rubric: its scale says which words are allowed.

    Returns:
        The number that the word stands for.

    Raises:
        FormatError: not exactly one verdict at the end, or another word.
    """
    word = _verdict(text, _VERDICT)
    known = dict(rubric.scale)
    if word not in known:
        raise FormatError(f"the verdict is {word!r:.40}, expected one of {', '.join(known)}")
    return known[word]


def read_preference(text: str) -> float:
    """Read which of two candidates is better.

    Args:
        text: a reply.

    Returns:
        1 for A, 0 for B, 0.5 for a tie.

    Raises:
        FormatError: not exactly one verdict at the end, or another word.
    """
    word = _verdict(text, _VERDICT)
    known = {"A": 1.0, "B": 0.0, "tie": 0.5}
    if word not in known:
        raise FormatError(f"the verdict is {word!r:.40}, expected A, B or tie")
    return known[word]


def read_ranking(text: str, count: int) -> tuple[float, ...]:
    """Read an order of candidates.

    Args:
        text: a reply.
        count: number of candidates that were shown.

    Returns:
        Place of each candidate as shown, 1 for the best.

    Raises:
        FormatError: not exactly one verdict at the end, or not every candidate exactly once.
    """
    word = _verdict(text, _RANKING)
    levels = [[name.strip() for name in level.split("=")] for level in word.split(">")]
    named = [name for level in levels for name in level]
    if sorted(named) != sorted(str(number) for number in range(1, count + 1)):
        raise FormatError(f"the ranking is {word!r:.60}, expected the numbers 1 to {count}, each once")
    level_of = {name: level for level, names in enumerate(levels) for name in names}
    return places([-level_of[str(number)] for number in range(1, count + 1)])


def agree(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two rankings agree on more pairs than they contradict each other on.

        sum over pairs i < j of sign(one_i - one_j) sign(other_i - other_j) > 0,  or no pair is ordered by both

    Args:
        one: places.
        other: places of the same candidates.

    Returns:
        False where the order of presentation decided as much as the candidates did.

    Source: the numerator of Kendall's tau, Kendall 1938.
    """
    pairs = [(i, j) for i in range(len(one)) for j in range(i)]
    signs = [_sign(one[i] - one[j]) * _sign(other[i] - other[j]) for i, j in pairs]
    return sum(signs) > 0 or not any(signs)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
