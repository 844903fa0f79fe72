"""What a search tree is compared with: the same number of independent trajectories, and a particle filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from milepost import checks
from milepost.recipe import Seeker
from milepost.sampling.branching.hooks import Scorer
from milepost.sampling.independent import Independent
from milepost.sampling.search_tree.drawing import HighestValue, SoftShares
from milepost.sampling.search_tree.particles import Particles, ParticleShares


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """Importance resampling, the best of n, and a particle filter, each of so many trajectories.

    Example:
        >>> list(Rivals(guess=lambda forest, rows: forest)(lambda **parts: parts))
        ['resampling', 'best of n', 'particles']
    """

    guess: Scorer
    """Scores steps on the way for the particle filter, and ends."""
    trajectories: int = 64
    forks: tuple[int, ...] = ()
    """Steps after which particles are resampled."""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("trajectories", self.trajectories, 1)

    def __call__(self, grows: Callable[..., Seeker]) -> dict[str, Seeker]:
        """The rivals by name.

        Args:
            grows: makes a seeker of `sampler` and `shares`.

        Returns:
            Three seekers.
        """
        plain, soft = Independent(width=self.trajectories), SoftShares(temperature=self.temperature)
        filtered = Particles(scorer=self.guess, width=self.trajectories, forks=self.forks, temperature=self.temperature)
        return {
            "resampling": grows(sampler=plain, shares=soft),
            "best of n": grows(sampler=plain, shares=HighestValue(temperature=self.temperature)),
            "particles": grows(sampler=filtered, shares=ParticleShares(forks=self.forks, temperature=self.temperature)),
        }
