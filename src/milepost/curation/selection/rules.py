"""Rules that say which conversations deserve a look: by signals, by length, evenly over groups of signals, or none.

A rule gives each conversation a level, and each level a probability once all levels are counted. So a pool is read
once, whatever its size, and the probability of every pick is known.

Source: Signals 2026. Its composite score is unpublished; the weights here are our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from milepost import checks
from milepost.curation.selection.inclusion import even, top
from milepost.curation.signals.found import by_group
from milepost.curation.signals.taxonomy import GROUPS, NUMBER, severity
from milepost.errors import SettingError

Whole = NDArray[np.int64]

WEIGHTS = {
    "misalignment": 2,
    "stagnation": 2,
    "disengagement": 3,
    "satisfaction": 1,
    "failure": 3,
    "loops": 3,
    "exhaustion": 0,
}
"""Of the severity of each group in the score: exemplars count a little, the surroundings not at all."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What rules look at."""

    counts: Whole
    """Signals of each kind, of shape (conversations, kinds)."""
    turns: Whole
    """Messages of the user of each conversation."""


class Rule(Protocol):
    """Gives levels to conversations, and probabilities to levels."""

    @property
    def levels(self) -> int:
        """Number of levels."""
        ...

    def level(self, seen: Counted) -> Whole:
        """Level of each conversation."""
        ...

    def probability(self, count: Whole, budget: float) -> NDArray[np.float64]:
        """Probability of each level, from the number of conversations at each and how many to expect."""
        ...


def score(counts: Whole, weights: Mapping[str, int]) -> Whole:
    """Score of conversations: weighted sum of the severities of their groups of signals.

        score = sum_g weights_g severity_g

    Args:
        counts: signals of each kind, of shape (conversations, kinds).
        weights: whole number per group, at least 0.

    Returns:
        Whole numbers from 0 to 3 times the sum of the weights.

    Raises:
        SettingError: a weight of an unknown group, or one below 0.
    """
    stray = set(weights) - set(GROUPS)
    if stray or any(weight < 0 for weight in weights.values()):
        raise SettingError(f"weights={dict(weights)!r} is not allowed: whole numbers of {', '.join(GROUPS)}.")
    factor = np.array([weights.get(group, 0) for group in GROUPS], dtype=np.int64)
    return severity(by_group(counts)).astype(np.int64) @ factor


@dataclass(frozen=True, kw_only=True)
class BySignals:
    """Highest score first."""

    weights: Mapping[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    """Of each group of signals in the score."""
    without: tuple[str, ...] = ()
    """Kinds that do not count, such as "dragging", which is the length rule in disguise."""

    def __post_init__(self) -> None:
        """Check groups, weights and kinds."""
        score(np.zeros((0, len(NUMBER)), dtype=np.int64), self.weights)
        for kind in self.without:
            checks.one_of("without", kind, NUMBER)

    @property
    def levels(self) -> int:
        """Scores from 0 to the largest possible."""
        return 3 * sum(self.weights.values()) + 1

    def level(self, seen: Counted) -> Whole:
        """The score."""
        counts = seen.counts
        if self.without:
            counts = counts.copy()
            counts[:, [NUMBER[kind] for kind in self.without]] = 0
        return score(counts, self.weights)

    def probability(self, count: Whole, budget: float) -> NDArray[np.float64]:
        """Highest first, see `inclusion.top`."""
        return top(count, budget)


@dataclass(frozen=True, kw_only=True)
class ByLength:
    """Conversations with at least so many messages of the user first: the baseline that signals are compared with."""

    turns: int = 10

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("turns", self.turns, 1)

    @property
    def levels(self) -> int:
        """Short and long."""
        return 2

    def level(self, seen: Counted) -> Whole:
        """1 for a long conversation."""
        return (seen.turns >= self.turns).astype(np.int64)

    def probability(self, count: Whole, budget: float) -> NDArray[np.float64]:
        """Long ones first, see `inclusion.top`."""
        return top(count, budget)


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """Equally many of each stratum: the gravest group of signals of a conversation, or none."""

    @property
    def levels(self) -> int:
        """One stratum per group, and one without signals."""
        return len(GROUPS) + 1

    def level(self, seen: Counted) -> Whole:
        """1 + the group of the highest severity, the first of several; 0 without signals."""
        grave = severity(by_group(seen.counts))
        return np.where(grave.max(axis=1, initial=0) > 0, grave.argmax(axis=1) + 1, 0).astype(np.int64)

    def probability(self, count: Whole, budget: float) -> NDArray[np.float64]:
        """Equally many, see `inclusion.even`."""
        return even(count, budget)


@dataclass(frozen=True, kw_only=True)
class Random:
    """All alike."""

    @property
    def levels(self) -> int:
        """One."""
        return 1

    def level(self, seen: Counted) -> Whole:
        """0 for all."""
        return np.zeros(len(seen.turns), dtype=np.int64)

    def probability(self, count: Whole, budget: float) -> NDArray[np.float64]:
        """The budget's share."""
        return top(count, budget)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A rule, how much it may take, and the uniform sample beside it that makes rates of the pool estimable."""

    rule: Rule = field(default_factory=BySignals)
    keep: float = 0.2
    """Share of the pool to expect."""
    sentinel: float = 0.2
    """Share of what is kept that is drawn uniformly from the whole pool; 0 gives up estimates."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the shares."""
        checks.within("keep", self.keep, 0.0, 1.0)
        checks.within("sentinel", self.sentinel, 0.0, 1.0)

    @property
    def uniform(self) -> float:
        """Probability with which the sentinel sample takes any conversation."""
        return self.keep * self.sentinel

    def probability(self, count: Whole, size: int) -> NDArray[np.float64]:
        """Probability of each level by the rule alone, such that rule and sentinel together keep the expected share.

        Args:
            count: eligible conversations at each level.
            size: conversations in the pool.

        Returns:
            One probability per level; that of being kept is `inclusion.either` of it and `uniform`.
        """
        budget = size * (self.keep - self.uniform)
        open_share = 1 - self.uniform
        return self.rule.probability(count, budget / open_share) if open_share > 0 else np.zeros(len(count))
