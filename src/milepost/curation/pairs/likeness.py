"""How alike two texts are: sentence BLEU with the smallest smoothing, over words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

ORDER = 4
"""Longest n-gram that is counted."""
SMALL = 0.1
"""What stands for a count of 0."""
_WORD = re.compile(r"\w+|[^\w\s]")


def smoothed_bleu(units: Sequence[str], others: Sequence[str]) -> float:
    """Sentence BLEU of one sequence against another, a count of 0 being replaced by 0.1.

        p_n = m_n / t_n, or 0.1 / t_n where m_n = 0;   BLEU = min(1, exp(1 - r / c)) exp(1/4 sum_{n=1..4} ln p_n)

    Args:
        units: words, or whatever is compared.
        others: those of the reference.

    Returns:
        A number in [0, 1]; 0 without a common unit.

    Source: Papineni et al. 2002; the smoothing is method 1 of Chen and Cherry 2014, which SPORT uses.
    Limits: 1 for equal sequences of at least four units.
    """
    logs = 0.0
    for order in range(1, ORDER + 1):
        mine, theirs = _grams(units, order), _grams(others, order)
        shared = sum(min(count, theirs[gram]) for gram, count in mine.items())
        if order == 1 and not shared:
            return 0.0
        logs += math.log((shared or SMALL) / max(sum(mine.values()), 1)) / ORDER
    return min(1.0, math.exp(1 - len(others) / len(units))) * math.exp(logs)


def word_likeness(text: str, other: str) -> float:
    """How alike two texts are, by their words and signs.

    Args:
        text: a text.
        other: the reference.

    Returns:
        A number in [0, 1]; about 0.03 for two steps that do different things, 1 for equal ones.

    Example:
        >>> round(word_likeness("search for the capital of Chad", "search for the currency of Chad"), 2)
        0.25
    """
    return 1.0 if text == other else smoothed_bleu(_WORD.findall(text.lower()), _WORD.findall(other.lower()))


def letter_likeness(text: str, other: str) -> float:
    """How alike two texts are by their letters, as SPORT's published code has it by passing text where words are meant.

    Any two texts of one language share most of their letters: as a filter it drops almost every healthy pair.

    Args:
        text: a text.
        other: the reference.

    Returns:
        A number in [0, 1].
    """
    return 1.0 if text == other else smoothed_bleu(text, other)


def _grams(units: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(units[first : first + order]) for first in range(len(units) - order + 1))
