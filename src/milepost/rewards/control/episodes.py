"""What the simulator pays: step by step, over an episode, and whether the episode reached its goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, segments
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.part import Scores

PAYOFF, SUCCESS = "extra.payoff", "extra.success"
_LARGEST = 1e6


def column(forest: Forest, name: str) -> Float[Tensor, " n"]:
    """A number that the environment wrote of every row below the roots.

    Args:
        forest: episodes.
        name: of the column.

    Returns:
        float64, 0 where it is missing.

    Raises:
        ColumnError: the environment wrote no such number.
    """
    if name not in forest:
        raise ColumnError(
            f"This reward needs column {name!r}, but the forest has: {', '.join(forest.names)}. Grow it in an "
            "environment that writes it, such as environments.control."
        )
    return torch.where(forest.valid(name), forest[name].double(), 0)


def every(values: Tensor) -> Scores:
    """Scores in which every row counts."""
    return Scores(values=values.float(), ok=torch.ones(len(values), dtype=torch.bool), reasons=[None] * len(values))


@dataclass(frozen=True, kw_only=True)
class Payoff:
    """The simulator's own reward of each step, cut to a range. Implements `part.Reward`.

    Example:
        >>> forest = Forest.of([-1, 0], {"extra.payoff": [None, 3.0]})
        >>> Payoff(largest=1.0)(forest, torch.tensor([1])).values.tolist()
        [1.0]
    """

    largest: float = _LARGEST
    """Payoffs are cut to [-largest, largest]."""
    name: str = "payoff"
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the range."""
        checks.positive("largest", self.largest)

    @property
    def range(self) -> tuple[float, float]:
        """What it is cut to."""
        return (-self.largest, self.largest)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Payoffs of the rows."""
        return every(column(forest, PAYOFF)[rows].clamp(-self.largest, self.largest))


@dataclass(frozen=True, kw_only=True)
class Earned:
    """Sum of the payoffs of an episode. Implements `part.Reward`.

    Example:
        >>> forest = Forest.of([-1, 0, 1], {"extra.payoff": [None, 3.0, 4.0]})
        >>> Earned()(forest, torch.tensor([2])).values.tolist()
        [7.0]
    """

    name: str = "earned"
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """Beyond any payoff."""
        return (-_LARGEST, _LARGEST)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Sums from the root to the rows."""
        return every(segments.path_sum(column(forest, PAYOFF), forest.parent)[rows].clamp(*self.range))


@dataclass(frozen=True, kw_only=True)
class Reached:
    """1 if the episode reached its goal, as the environment says, else 0. Implements `part.Reward`.

    Example:
        >>> forest = Forest.of([-1, 0], {"extra.success": [None, 1.0]})
        >>> Reached()(forest, torch.tensor([1])).values.tolist()
        [1.0]
    """

    name: str = "solved"
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """0 and 1."""
        return (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Success of the rows."""
        return every(column(forest, SUCCESS)[rows])
