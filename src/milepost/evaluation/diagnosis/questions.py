"""Answers to ask a reward about: the references, and others that must not be paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NONSENSE = ("xx", "qqq qqq", "???")
"""Answers that are right to nothing."""
CONSTANTS = ("0", "1", "yes", "[]")
"""Answers that can be right to some questions, but not to all."""
LENGTHS = (1, 4, 16, 64, 256)
"""Words of the nonsense that shows whether length pays."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task and the answer that is known to be right."""

    record: Mapping[str, Any]
    """What the reward is given of the task."""
    reference: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """One answer to one case."""

    case: int
    """Number of the case."""
    kind: str
    """"reference", "nonsense", "empty", "constant", "another", "changed", "cut" or "length"."""
    text: str
    words: int = 0
    """Of kind "length": how many."""


def changed(text: str) -> str:
    """The answer with its first digit raised by one; without a digit, with two different neighbours swapped.

    Args:
        text: an answer.

    Returns:
        A text that differs, or the same text where nothing can be changed.

    Example:
        >>> changed("x = 19"), changed("north"), changed("aa")
        ('x = 29', 'nroth', 'aa')
    """
    for place in range(len(text)):
        if text[place].isascii() and text[place].isdigit():
            return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
    for place in range(1, len(text) - 1):
        first, second = text[place], text[place + 1]
        if first != second and first.isalnum() and second.isalnum():
            return text[:place] + second + first + text[place + 2 :]
    return text


def another(cases: Sequence[Case], number: int) -> str | None:
    """The reference of the next case that has another one.

    Args:
        cases: all cases.
        number: the case that is asked about.

    Returns:
        The reference; None where all are the same.
    """
    own = cases[number].reference
    for step in range(1, len(cases)):
        other = cases[(number + step) % len(cases)].reference
        if other.strip().lower() != own.strip().lower():
            return other
    return None


def questions(cases: Sequence[Case]) -> list[Question]:
    """Everything that a reward is asked.

    Args:
        cases: tasks with references.

    Returns:
        The questions, those of one case together; answers that happen to be the reference are left out.
    """
    found: list[Question] = []
    for number, case in enumerate(cases):
        reference = case.reference
        found.append(Question(case=number, kind="reference", text=reference))
        asked = [("nonsense", text) for text in NONSENSE] + [("constant", text) for text in CONSTANTS]
        asked += [("empty", ""), ("changed", changed(reference))]
        if reference.rstrip()[-1:].isalnum():  # without its last bracket or full stop an answer is still the answer
            asked.append(("cut", reference.rstrip()[:-1]))
        other = another(cases, number)
        asked += [] if other is None else [("another", other)]
        same = reference.strip().lower()
        found += [
            Question(case=number, kind=kind, text=text)
            for kind, text in asked
            if text.strip().lower() != same and (text.strip() or kind == "empty")
        ]
        found += [Question(case=number, kind="length", text=" ".join(["xx"] * words), words=words) for words in LENGTHS]
    return found
