"""SubSearch's rewards: answerability, decomposition, what they add to the outcome, form, the published ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards.leaf import score_each
from milepost.rewards.outcome import outcome
from milepost.rewards.subqueries import formulas
from milepost.rewards.subqueries.encoder import Encoder, HashedWords
from milepost.rewards.subqueries.searches import Searched, read_searches

When = Literal["step", "leaf"]
Side = Literal["before", "after"]


class Beta(Protocol):
    """Weight of the intermediate score after a number of updates."""

    def __call__(self, step: int) -> float:
        """A number in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The same weight throughout. Implements `Beta`."""

    value: float = 0.2

    def __post_init__(self) -> None:
        """Check the range."""
        checks.within("beta", self.value, 0.0, 1.0)

    def __call__(self, step: int) -> float:  # noqa: ARG002 - a schedule that does not move
        """The weight."""
        return self.value


@dataclass(frozen=True, kw_only=True)
class Smart:
    """The published schedule, from 0.2 to 0.02: see `formulas.smart_beta`. Implements `Beta`."""

    def __call__(self, step: int) -> float:
        """The weight."""
        return formulas.smart_beta(step)


def answerability_of(one: Searched, embed: Callable[[str], Tensor]) -> float:
    """Mean answerability of the searches of a trajectory, 0 without one.

    Args:
        one: the trajectory.
        embed: gives the unit vector of a text.

    Returns:
        A number in [0, 1].

    Source: SubSearch, r_A.
    """
    found: list[float] = []
    for search in one.searches:
        width = min(len(search.queries), len(search.documents))
        queries = _rows(search.queries[:width], embed)
        documents = [_rows(texts, embed) for texts in search.documents[:width]]
        found.append(float(formulas.answerability(queries, documents)))
    return sum(found) / len(found) if found else 0.0


def decomposition_of(one: Searched, embed: Callable[[str], Tensor]) -> float:
    """Mean decomposition of the searches of a trajectory, 0 without one.

    Args:
        one: the trajectory.
        embed: gives the unit vector of a text.

    Returns:
        A number in [0, 1].

    Source: SubSearch, r_D, with repeats and the question itself left out.
    """
    question, found = one.leaf.prompt, list[float]()
    for search in one.searches:
        queries = _rows(formulas.distinct(question, search.queries), embed)
        found.append(float(formulas.decomposition(embed(question), queries)))
    return sum(found) / len(found) if found else 0.0


_READS = ("call", "extra_text.documents")
"""Columns that the environment of searches writes."""


@dataclass(frozen=True, kw_only=True)
class Answerability:
    """Whether what was found is about what was asked. Implements `part.Reward`; it knows no reference answer."""

    encoder: Encoder = field(default_factory=HashedWords)
    name: str = "answerability"
    when: ClassVar[When] = "leaf"
    side: ClassVar[Side] = "after"
    reads = _READS
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score trajectories; each text is embedded once."""
        return _scored(forest, rows, self.encoder, answerability_of)


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """How well the question was split into queries. Implements `part.Reward`; it knows no reference answer."""

    encoder: Encoder = field(default_factory=HashedWords)
    name: str = "decomposition"
    when: ClassVar[When] = "leaf"
    side: ClassVar[Side] = "after"
    reads = _READS
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score trajectories; each text is embedded once."""
        return _scored(forest, rows, self.encoder, decomposition_of)


@dataclass(frozen=True, kw_only=True)
class Intermediate:
    """What a wrong answer earns on the way: beta (w r_A + (1 - w) r_D) (1 - outcome). Implements `part.Reward`.

    Added to the outcome it is `formulas.residual`: a right answer is never improved. Beta is that of the updates which
    the policy had seen when the task was begun, so one group has one beta.
    """

    encoder: Encoder = field(default_factory=HashedWords)
    beta: Beta = field(default_factory=Smart)
    answerability: float = 0.5
    """w: share of answerability; the rest is decomposition."""
    name: str = "intermediate"
    when: ClassVar[When] = "leaf"
    side: ClassVar[Side] = "after"
    reads = _READS
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the share."""
        checks.within("answerability", self.answerability, 0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score trajectories; each text is embedded once."""

        def rule(one: Searched, embed: Callable[[str], Tensor]) -> float:
            mixed = mixture(one, embed, self.answerability)
            right = torch.tensor(outcome(one.leaf))
            return float(formulas.residual(right, torch.tensor(mixed), self.beta(one.updates)) - right)

        return _scored(forest, rows, self.encoder, rule)


@dataclass(frozen=True, kw_only=True)
class WellFormed:
    """1 where every step was a search or an answer, else 0. Implements `part.Reward`."""

    name: str = "well_formed"
    when: ClassVar[When] = "leaf"
    side: ClassVar[Side] = "after"
    reads = _READS
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score trajectories."""
        return score_each(forest, rows, lambda leaf: float(read_searches(forest, leaf.row).malformed == 0))


@dataclass(frozen=True, kw_only=True)
class Published:
    """Outcome, residual and format ladder as published, inversions included. Implements `part.Reward`."""

    encoder: Encoder = field(default_factory=HashedWords)
    beta: Beta = field(default_factory=Smart)
    answerability: float = 0.5
    name: str = "published"
    when: ClassVar[When] = "leaf"
    side: ClassVar[Side] = "after"
    reads = _READS
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the share."""
        checks.within("answerability", self.answerability, 0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score trajectories; each text is embedded once."""

        def rule(one: Searched, embed: Callable[[str], Tensor]) -> float:
            mixed = torch.tensor(mixture(one, embed, self.answerability))
            return formulas.published_ladder(
                combined=float(formulas.residual(torch.tensor(outcome(one.leaf)), mixed, self.beta(one.updates))),
                answered=one.answered,
                well_formed=one.malformed == 0,
                gold_found=one.gold_found,
            )

        return _scored(forest, rows, self.encoder, rule)


def mixture(one: Searched, embed: Callable[[str], Tensor], share: float) -> float:
    """Intermediate score of a trajectory.

        r_I = w r_A + (1 - w) r_D

    Args:
        one: the trajectory.
        embed: gives the unit vector of a text.
        share: w, in [0, 1].

    Returns:
        A number in [0, 1].

    Source: SubSearch, with w = 0.5.
    """
    return share * answerability_of(one, embed) + (1 - share) * decomposition_of(one, embed)


def _rows(texts: Sequence[str], embed: Callable[[str], Tensor]) -> Float[Tensor, "n d"]:
    return torch.stack([embed(text) for text in texts]) if texts else embed("").new_zeros(0, len(embed("")))


def _scored(
    forest: Forest, rows: Tensor, encoder: Encoder, rule: Callable[[Searched, Callable[[str], Tensor]], float]
) -> Scores:
    """Apply a rule to every trajectory by itself, with the vectors of all texts of the batch computed together."""
    texts: dict[str, None] = {"": None}
    for row in cast("list[int]", rows.tolist()):
        texts |= dict.fromkeys(_texts(forest, row))
    vectors = dict(zip(texts, encoder(list(texts)), strict=True))
    return score_each(forest, rows, lambda leaf: rule(read_searches(forest, leaf.row), vectors.__getitem__))


def _texts(forest: Forest, row: int) -> list[str]:
    """Every text that a rule may ask for; none of a trajectory that cannot be read, which the rule itself reports."""
    try:
        one = read_searches(forest, row)
    except FormatError:
        return []
    found = [one.leaf.prompt]
    for search in one.searches:
        found += [*search.queries, *formulas.distinct(one.leaf.prompt, search.queries)]
        found += [text for documents in search.documents for text in documents]
    return found
