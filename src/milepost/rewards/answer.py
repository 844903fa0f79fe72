"""The final answer of a completion: what stands between `<answer>` and `</answer>`, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

OPENING, CLOSING = "<answer>", "</answer>"

Fault = Literal["", "missing", "unclosed", "nested", "stray", "empty"]
"""What is wrong with the tags; "" when nothing is."""

_TAG = re.compile(f"{re.escape(OPENING)}|{re.escape(CLOSING)}")


@dataclass(frozen=True, kw_only=True)
class ParsedAnswer:
    """A completion taken apart."""

    answer: str | None
    """The last answer without white space around it; None where the tags do not say one thing."""
    fault: Fault
    """Why there is no answer, or "empty" for an answer without text."""
    reasoning: str
    """What stands before the answer; the whole completion where there is none."""
    trailing: str
    """What follows the answer, without white space around it."""
    count: int
    """Number of complete pairs of tags."""


def parse_answer(completion: str) -> ParsedAnswer:
    """Read the final answer of a completion.

        text outside, "<answer>", text inside, "</answer>", any number of times; the last pair wins

    Args:
        completion: what the policy wrote.

    Returns:
        The answer, or the first of these faults that the tags have: "missing", no tag at all; "nested", an opening tag
        inside an answer; "stray", a closing tag outside one; "unclosed", the text ends inside one. A completion with
        such a fault has no answer, even if it also holds a complete pair: which pair was meant would be a guess.
        Tags are case sensitive.

    Example:
        >>> parse_answer("3 + 4 is <answer>7</answer>").answer
        '7'
        >>> parse_answer("<answer>6</answer> no: <answer>7").fault
        'unclosed'
    """
    fault: Fault = "missing"
    start, last, count = -1, (0, 0), 0
    for tag in _TAG.finditer(completion):
        inside = start >= 0
        if (tag.group() == OPENING) == inside:
            fault = "nested" if inside else "stray"
            return ParsedAnswer(answer=None, fault=fault, reasoning=completion, trailing="", count=count)
        if inside:
            last, start, count = (start, tag.start()), -1, count + 1
        else:
            start = tag.end()
            fault = "unclosed"
    if start >= 0 or count == 0:
        return ParsedAnswer(answer=None, fault=fault, reasoning=completion, trailing="", count=count)
    answer = completion[last[0] : last[1]].strip()
    return ParsedAnswer(
        answer=answer,
        fault="" if answer else "empty",
        reasoning=completion[: last[0] - len(OPENING)],
        trailing=completion[last[1] + len(CLOSING) :].strip(),
        count=count,
    )
