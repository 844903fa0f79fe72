"""A particle filter as a sampler: trajectories side by side, of which the promising are continued more often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks, keys, segments
from milepost.columns import End
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.part import Extension
from milepost.sampling.branching.choosing import Told, prune
from milepost.sampling.branching.hooks import Scorer


def offspring(
    weight: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, count: int, draw: Float[Tensor, " g"]
) -> Int[Tensor, " n"]:
    """Number of times that each particle goes on: systematic resampling.

        offspring_i = #{k in 0..count-1: (k + u) / count lies in particle i's part of [0, 1)}

    Args:
        weight: at least 0, one per particle; the particles of a group stand in order.
        group: group of each particle, in [0, groups).
        groups: number of groups.
        count: particles wanted of each group.
        draw: u, uniform in [0, 1), one for each group.

    Returns:
        Whole numbers whose mean is count times the normalised weight; they sum to `count` in each group with a weight.

    Source: Kitagawa 1996; Douc and Cappe 2005 compare the schemes.
    """
    found = torch.zeros(len(weight), dtype=torch.int64)
    for number in range(groups):
        own = (group == number).nonzero().squeeze(1)
        total = weight[own].sum()
        if total > 0:
            edge = (weight[own].cumsum(0) / total * count - draw[number]).ceil().clamp(0, count).long()
            edge[-1] = count
            found[own] = edge.diff(prepend=edge.new_zeros(1))
    return found


def gained(forest: Forest, rows: Tensor, forks: tuple[int, ...]) -> Tensor:
    """Potential of each row less that at its last fork, which is 0 where there is none.

        R(row) - R(nearest row above it at a depth in forks)

    Args:
        forest: holds `reward.total`; a row whose reward failed counts as 0.
        rows: rows that are weighed.
        forks: depths after which trajectories are resampled.

    Returns:
        float64, in units of the reward, one for each of `rows`.
    """
    potential = torch.where(forest["ok.total"] & forest.valid("reward.total"), forest["reward.total"].double(), 0)
    at_fork = torch.isin(forest.depth(), torch.tensor(forks))
    before = segments.nearest(forest.parent, at_fork)[forest.parent[rows]]
    return potential[rows] - torch.where(before >= 0, potential[before.clamp(min=0)], 0)


@dataclass(frozen=True, kw_only=True)
class Particles:
    """`width` trajectories per root that are resampled after the numbers of steps named in `forks`.

        weight of a particle = exp((R(now) - R(at the fork before)) / T)

    R is what the scorer says of a row on the way, such as the score of what the model foresees, and of the end the
    reward itself, so that the weights of a path multiply to exp(reward / T). A particle that is not continued is
    PRUNED. What is left at the end has the chances of `ParticleShares`.

    Source: sequential Monte Carlo with the "difference" potential of Feynman-Kac steering, arXiv:2501.06848.
    Limits: without forks it is importance resampling.

    Example:
        >>> Particles(scorer=lambda forest, rows: forest, width=8, forks=(3, 5)).temperature
        1.0
    """

    scorer: Scorer
    """Writes `reward.total` at forks and at ends."""
    width: int = 16
    forks: tuple[int, ...] = ()
    temperature: float = 1.0
    """T, in reward units."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("width", self.width, 1)
        checks.positive("temperature", self.temperature)
        for depth in self.forks:
            checks.at_least("forks", depth, 1)

    def init(self, forest: Forest, key: int) -> Told:  # noqa: ARG002 - draws take the keys of the roots
        """State for a forest of roots."""
        return Told()

    def ask(self, forest: Forest, state: Told) -> Extension | None:
        """All roots at first, then every open leaf, as often as it was resampled."""
        rows = forest.open_rows()
        if len(rows) == 0:
            return None
        if state.extensions == 0:
            return Extension(rows=rows, counts=torch.full_like(rows, self.width))
        return Extension(rows=rows, counts=self._times(forest, state)[rows].clamp(min=1))

    def review(self, forest: Forest, rows: Tensor, state: Told) -> Forest:
        """Score what stands at a fork or has ended, and prune what is not continued."""
        told = Told(extensions=state.extensions + 1)
        due = rows if told.extensions in self.forks else rows[forest["end"][rows] != int(End.OPEN)]
        forest = self.scorer(forest, due) if len(due) else forest
        if told.extensions not in self.forks:
            return forest
        return prune(forest, rows[(self._times(forest, told)[rows] == 0) & (forest["end"][rows] == int(End.OPEN))])

    def tell(self, forest: Forest, rows: Tensor, state: Told) -> Told:  # noqa: ARG002 - the sampler protocol
        """Count the steps."""
        return Told(extensions=state.extensions + 1)

    def _times(self, forest: Forest, state: Told) -> Int[Tensor, " n"]:
        """How often each row is continued: once but at a fork."""
        found = torch.ones(len(forest), dtype=torch.int64)
        if state.extensions not in self.forks:
            return found
        chosen = (forest.depth() == state.extensions) & torch.isin(
            forest["end"], torch.tensor([int(End.OPEN), int(End.PRUNED)], dtype=forest["end"].dtype)
        )
        rows, roots = chosen.nonzero().squeeze(1), forest.roots()
        group = torch.searchsorted(roots, forest.root_of()[rows])
        weight = (gained(forest, rows, self.forks) / self.temperature).double()
        ok = forest["ok.total"][rows]
        fine = ok | ~torch.isin(group, group[ok])  # where every score of a root failed all go on alike
        share = segments.group_softmax(weight, group, len(roots), fine)
        number = keys.children(forest["key"][roots].tolist(), "resample", [state.extensions] * len(roots))
        draw = torch.from_numpy(keys.uniform(number.tolist(), 1)).squeeze(1)
        found[rows] = offspring(share, group, len(roots), self.width, draw)
        return found


@dataclass(frozen=True, kw_only=True)
class ParticleShares:
    """Chances of the particles that reached the end: exp((reward - R at the last fork) / T), normalised for each root.

    Example:
        >>> ParticleShares(forks=(2,)).temperature
        1.0
    """

    forks: tuple[int, ...]
    """As the sampler's."""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    def __call__(self, forest: Forest) -> Tensor:
        """Chance of every leaf; rows above them have none."""
        if "reward.total" not in forest:
            raise ColumnError("A draw needs column 'reward.total': score the ends of the particles first.")
        leaf = forest.leaves()
        leaf = leaf[(forest.parent[leaf] >= 0) & (forest["end"][leaf] != int(End.PRUNED)) & forest["ok.total"][leaf]]
        group, every = forest.root_of()[leaf], torch.ones(len(leaf), dtype=torch.bool)
        chance = segments.group_softmax(gained(forest, leaf, self.forks) / self.temperature, group, len(forest), every)
        return torch.zeros(len(forest), dtype=torch.float64).index_copy(0, leaf, chance)
