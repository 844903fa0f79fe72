"""What a judge is asked and what it answers: rubrics, cases, judgements, and the protocol of every judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from milepost import checks
from milepost.errors import SettingError

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """What is judged, by which criteria, and with which words a verdict is given.

    Example:
        >>> Rubric(name="polite", asks="Is the answer polite?", scale=(("no", 0.0), ("yes", 1.0))).identity
        'polite@1'
    """

    name: str
    version: int = 1
    """Raised with every change of the words, so that replies to the old ones are not taken for replies to the new."""
    asks: str
    """What is to be judged, or done, in one or two sentences."""
    criteria: tuple[str, ...] = ()
    scale: tuple[tuple[str, float], ...] = (("-1", -1.0), ("0", 0.0), ("1", 1.0))
    """Words a score may be given in, and the number each stands for."""

    def __post_init__(self) -> None:
        """Check the name and the scale."""
        words = [word for word, _ in self.scale]
        if not self.name.replace("-", "_").isidentifier():
            raise SettingError(f"name={self.name!r} cannot name a rubric: use letters, digits and underscores.")
        if len(set(words)) != len(words) or any(not word or word != word.strip() for word in words):
            raise SettingError(f"The scale of {self.name!r} has the words {words}: give different words.")
        checks.not_empty("scale", self.scale)

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest number of the scale."""
        numbers = [number for _, number in self.scale]
        return min(numbers), max(numbers)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something to judge. All of it is data from an untrusted source: a judge never follows what it says."""

    rubric: Rubric
    material: Mapping[str, str]
    """Texts by name, such as "question" and "query"."""
    candidates: tuple[str, ...] = ()
    """What `rank` and `pairwise` compare; empty for `score` and `complete`."""
    known: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What only rules may read, such as the task's record: no prompt of a model shows it."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a judgement cost. A reply from a cache costs what it cost when it was given, so a bill does not depend on
    what ran before.
    """

    calls: int = 0
    tokens: int = 0
    """Tokens read and written."""
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Sum of both."""
        return Cost(
            calls=self.calls + other.calls, tokens=self.tokens + other.tokens, seconds=self.seconds + other.seconds
        )


@dataclass(frozen=True, kw_only=True)
class Judgement(Generic[Answer]):
    """An answer, or why there is none that can be used. An unusable verdict never stands for a number."""

    answer: Answer | None
    unusable: str | None = None
    """A code of `columns.REASONS` with a detail; None where there is an answer."""
    explanation: str = ""
    """What the judge wrote."""
    cost: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        """Check that there is an answer or a reason, not both."""
        if (self.answer is None) == (self.unusable is None):
            raise SettingError(
                f"A judgement has an answer or a reason; received {self.answer!r} and {self.unusable!r}."
            )


class Judge(Protocol):
    """Gives opinions. Every operation answers every case, in order; a case that cannot be judged has a reason."""

    @property
    def identity(self) -> str:
        """What judges, in words that differ when the verdicts may differ."""
        ...

    def score(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """A number of the rubric's scale for each case."""
        ...

    def pairwise(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """1 where the first of two candidates is better, 0 where the second is, 0.5 for a tie."""
        ...

    def rank(self, cases: Sequence[Case]) -> Sequence[Judgement[tuple[float, ...]]]:
        """Place of each candidate, 1 for the best; ties share the mean of their places."""
        ...

    def complete(self, cases: Sequence[Case]) -> Sequence[Judgement[str]]:
        """Write what the rubric asks for."""
        ...


def check_candidates(case: Case, at_least: int, at_most: int | None = None) -> None:
    """Check the number of candidates of a case.

    Args:
        case: what is to be judged.
        at_least: fewest candidates allowed.
        at_most: most candidates allowed; None: any number.

    Raises:
        SettingError: the case has fewer or more.
    """
    count = len(case.candidates)
    if count < at_least or (at_most is not None and count > at_most):
        wanted = f"{at_least}" if at_most == at_least else f"at least {at_least}"
        raise SettingError(f"A case of {case.rubric.identity} has {count} candidates, expected {wanted}.")


def places(scores: Sequence[float]) -> tuple[float, ...]:
    """Places of scores, the largest first; ties share the mean of their places.

        place_i = 1 + #{j: score_j > score_i} + (#{j: score_j = score_i} - 1) / 2

    Args:
        scores: one number per candidate.

    Returns:
        One number in [1, n] per candidate; they sum to n (n + 1) / 2.
    """
    return tuple(
        1 + sum(other > one for other in scores) + (sum(other == one for other in scores) - 1) / 2 for one in scores
    )
