"""The cross-entropy method: draw settings of a small policy, keep the best, draw around them.

Source: Rubinstein 1999; de Boer et al. 2005, "A tutorial on the cross-entropy method".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, keys


@dataclass(frozen=True, kw_only=True)
class Climbed:
    """What a search came to."""

    best: Float[Tensor, " d"]
    """Mean of the last generation's elite."""
    worth: tuple[float, ...] = field(repr=False)
    """Mean score of the elite of every generation, in the unit of the score."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Draws generations around the mean of the elite.

    mean', std' = mean and std of the best e of n ~ Normal(mean, std);   std' >= floor std_0 (1 - g / G)
    """

    generations: int = 16
    population: int = 16
    elite: int = 4
    width: float = 1.0
    """First standard deviation, std_0."""
    floor: float = 0.3
    """Share of the first deviation that is kept at the start; it shrinks to 0."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("generations", self.generations, 1)
        checks.at_least("elite", self.elite, 2)
        checks.at_least("population", self.population, self.elite)
        checks.positive("width", self.width)
        checks.within("floor", self.floor, 0.0, 1.0)

    def __call__(
        self, score: Callable[[Float[Tensor, "n d"], int], Float[Tensor, " n"]], size: int, key: int
    ) -> Climbed:
        """Search.

        Args:
            score: settings of a generation and a key to one number each, the larger the better; the key is the
                generation's, so that all its members meet the same chances.
            size: numbers of a setting, d.
            key: all randomness comes from it.

        Returns:
            The best mean.
        """
        mean, std = torch.zeros(size), torch.full((size,), self.width)
        worth: list[float] = []
        for number in range(self.generations):
            own = keys.fold(key, "generation", number)
            noise = torch.from_numpy(keys.generator(own).standard_normal((self.population, size))).float()
            drawn = mean + std * noise
            found = score(drawn, own)
            chosen = drawn[torch.argsort(found, descending=True, stable=True)[: self.elite]]
            worth.append(float(found.sort(descending=True).values[: self.elite].mean()))
            mean = chosen.mean(0)
            least = self.floor * self.width * (1 - number / self.generations)
            std = chosen.std(0).clamp(min=least)
        return Climbed(best=mean, worth=tuple(worth))
