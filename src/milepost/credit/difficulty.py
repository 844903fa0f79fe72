"""Weight of a group by how often its task is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks


def difficulty(rate: Float[Tensor, " n"], hard: Float[Tensor, "#n"], easy: Float[Tensor, "#n"]) -> Float[Tensor, " n"]:
    """Weight of a group by its success rate.

        f(p) = hard / sqrt(p) + easy / sqrt(1 - p);  f = 1 where p is 0 or 1

    Args:
        rate: success rate p of the group of each row, in [0, 1].
        hard: emphasis of tasks that are seldom solved, at least 0.
        easy: emphasis of tasks that are mostly solved, at least 0.

    Returns:
        A factor above 0, without unit.

    Source: A-GRAE, arXiv:2602.05548, section 4.1.   Limits: hard = 1/2 and easy = 0 are the hard-focused control.
    """
    mixed = (rate > 0) & (rate < 1)
    p = torch.where(mixed, rate, 0.5)
    return torch.where(mixed, hard / p.sqrt() + easy / (1 - p).sqrt(), 1)


class Difficulty(Protocol):
    """Weight of a group by its success rate and the batch's."""

    def of(self, rate: Tensor, omega: Tensor) -> Tensor:
        """Return one factor per row."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A-GRAE's weight: easy tasks first, hard tasks as the success rate omega of the batch rises.

    hard = omega / 2,  easy = (1 - omega) / 2
    """

    def of(self, rate: Float[Tensor, " n"], omega: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return one factor per row."""
        return difficulty(rate, omega / 2, (1 - omega) / 2)


@dataclass(frozen=True, kw_only=True)
class Focused:
    """A weight that does not change during training: hard = 0.5 and easy = 0 is the paper's hard-focused control."""

    hard: float
    easy: float

    def __post_init__(self) -> None:
        """Check that the weight is above 0."""
        checks.non_negative("hard", self.hard)
        checks.non_negative("easy", self.easy)
        checks.positive("hard + easy", self.hard + self.easy)

    def of(self, rate: Float[Tensor, " n"], omega: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return one factor per row."""
        return difficulty(rate, torch.full_like(omega, self.hard), torch.full_like(omega, self.easy))


@dataclass(frozen=True, kw_only=True)
class Unweighted:
    """All tasks weigh the same."""

    def of(self, rate: Float[Tensor, " n"], omega: Float[Tensor, " n"]) -> Float[Tensor, " n"]:  # noqa: ARG002 - the protocol
        """Return 1 for every row."""
        return torch.ones_like(rate)
