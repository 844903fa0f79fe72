"""Rewards that read the text alone: the form of the answer, and its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from milepost import checks
from milepost.errors import FormatError, SettingError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards.answer import parse_answer
from milepost.rewards.leaf import Leaf, score_each

Unit = Literal["tokens", "words", "characters"]


def length_of(leaf: Leaf, unit: Unit) -> int:
    """Length of a completion.

    Args:
        leaf: the trajectory.
        unit: "tokens" that policy or insertion wrote, "words" parted by white space, or "characters".

    Returns:
        A whole number of that unit.

    Raises:
        FormatError: tokens are asked for, and the forest has none.
    """
    if unit == "tokens":
        if leaf.token_ids is None:
            raise FormatError('The forest has no tokens to count. Set unit="words" or unit="characters".')
        return len(leaf.token_ids)
    return len(leaf.completion.split()) if unit == "words" else len(leaf.completion)


def well_formed(completion: str, *, reasoning: bool) -> float:
    """Score the form of a completion.

        1 if it holds exactly one complete, non-empty answer and nothing behind it, else 0

    Args:
        completion: what the policy wrote.
        reasoning: also ask for some text before the answer.

    Returns:
        0 or 1.
    """
    parsed = parse_answer(completion)
    fine = parsed.fault == "" and parsed.count == 1 and not parsed.trailing
    return float(fine and (bool(parsed.reasoning.strip()) or not reasoning))


def soft_overlong(length: int, *, limit: int, buffer: int) -> float:
    """Penalty that grows over the last part of the allowed length.

        0 if y <= L - b;   (L - b - y) / b if L - b < y <= L;   -1 if y > L

    Args:
        length: y, the length of the completion.
        limit: L, the longest length allowed.
        buffer: b, the part of it in which the penalty grows; 0 < b <= L.

    Returns:
        A penalty in [-1, 0].

    Source: DAPO (2025), eq. 13.   Limits: y = L gives -1.
    """
    if length <= limit - buffer:
        return 0.0
    return max(-1.0, (limit - buffer - length) / buffer)


@dataclass(frozen=True, kw_only=True)
class Format:
    """1 for a completion with exactly one answer at its end. Implements `part.Reward`.

    Example:
        >>> from milepost.rewards import guard
        >>> forest = Forest.of([-1, 0, 0], {"text": ["?", "so <answer>7</answer>", "7"]})
        >>> guard.score(Format(), forest)["reward.format"].tolist()
        [nan, 1.0, 0.0]
    """

    reasoning: bool = False
    """Also ask for some text before the answer."""
    name: str = "format"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the form of each row's completion."""
        return score_each(forest, rows, lambda leaf: well_formed(leaf.completion, reasoning=self.reasoning))


@dataclass(frozen=True, kw_only=True)
class Length:
    """Length as a share of a scale, min(y / scale, 1). Implements `part.Reward`.

    A negative weight asks for short answers.
    Example:
        >>> from milepost.rewards import guard
        >>> forest = Forest.of([-1, 0], {"text": ["?", "two words"]})
        >>> guard.score(Length(scale=4, unit="words"), forest)["reward.length"].tolist()
        [nan, 0.5]
    """

    scale: int = 512
    """Length that scores 1, and so does any longer one."""
    unit: Unit = "tokens"
    """What is counted."""
    name: str = "length"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the scale and the unit."""
        checks.at_least("scale", self.scale, 1)
        checks.one_of("unit", self.unit, ("tokens", "words", "characters"))

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the length of each row's completion."""
        return score_each(forest, rows, lambda leaf: min(length_of(leaf, self.unit) / self.scale, 1.0))


@dataclass(frozen=True, kw_only=True)
class Overlong:
    """DAPO's soft penalty for answers near or beyond a limit. Implements `part.Reward`.

    Example:
        >>> from milepost.rewards import guard
        >>> forest = Forest.of([-1, 0], {"text": ["?", "three words here"]})
        >>> guard.score(Overlong(limit=4, buffer=2, unit="words"), forest)["reward.overlong"].tolist()
        [nan, -0.5]
    """

    limit: int = 512
    """Longest length allowed; any longer completion scores -1."""
    buffer: int = 128
    """Part of the limit in which the penalty grows from 0 to -1."""
    unit: Unit = "tokens"
    """What is counted."""
    name: str = "overlong"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (-1.0, 0.0)

    def __post_init__(self) -> None:
        """Check that the buffer lies within the limit."""
        checks.at_least("limit", self.limit, 1)
        checks.at_least("buffer", self.buffer, 1)
        checks.one_of("unit", self.unit, ("tokens", "words", "characters"))
        if self.buffer > self.limit:
            raise SettingError(
                f"buffer={self.buffer} is longer than limit={self.limit}: choose a buffer within the limit."
            )

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the length of each row's completion."""
        return score_each(
            forest, rows, lambda leaf: soft_overlong(length_of(leaf, self.unit), limit=self.limit, buffer=self.buffer)
        )
