"""Which child to follow down a search tree, and when a node has enough of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.errors import SettingError


@dataclass(frozen=True, kw_only=True, eq=False)
class Children:
    """The children of some nodes, one entry each, in groups; only those that have a value."""

    value: Float[Tensor, " n"]
    """Soft value, in reward units."""
    visits: Int[Tensor, " n"]
    above: Int[Tensor, " n"]
    """Visits of the parent."""
    spread: Float[Tensor, " n"]
    """Standard deviation of the rewards seen in the tree, in reward units."""
    group: Int[Tensor, " n"]
    """Which of the nodes is the parent, in [0, groups)."""
    groups: int


class Selector(Protocol):
    """Chooses one child of every node."""

    def __call__(self, children: Children, draw: Float[Tensor, " g"]) -> Int[Tensor, " g"]:
        """Place in `children` of the chosen child of each group; `draw` is uniform in [0, 1), one for each group."""
        ...


def _every(children: Children) -> Bool[Tensor, " n"]:
    return torch.ones(len(children.value), dtype=torch.bool)


def boltzmann(
    value: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, draw: Float[Tensor, " g"], *, temperature: float
) -> Int[Tensor, " g"]:
    """Draw one row of every group in proportion to the exponential of its value.

        P(i) = exp(value_i / T) / sum over the group of exp(value_j / T)

    Args:
        value: one number per row, in reward units.
        group: group of each row, in [0, groups), none of them empty.
        groups: number of groups.
        draw: uniform in [0, 1), one for each group.
        temperature: T above 0, in reward units.

    Returns:
        Number of the chosen row of each group.

    Source: Diffusion Tree Sampling, arXiv:2506.20701, selection.   Limits: T -> 0 takes the best, T -> infinity any.
    """
    order = group.sort(stable=True).indices
    share = segments.group_softmax(value / temperature, group, groups, torch.ones(len(value), dtype=torch.bool))[order]
    count = torch.bincount(group, minlength=groups)
    first = count.cumsum(0) - count
    whole = share.cumsum(0)
    before = (whole - share)[first]
    inside = whole - before[group[order]]
    passed = torch.bincount(group[order][inside <= draw[group[order]]], minlength=groups)
    return order[first + passed.minimum(count - 1)]


@dataclass(frozen=True, kw_only=True)
class Boltzmann:
    """A child with probability proportional to exp(value / T): a search that samples.

    Example:
        >>> Boltzmann(temperature=0.5).temperature
        0.5
    """

    temperature: float = 1.0
    """T, in reward units; 1 / lambda of the paper."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    def __call__(self, children: Children, draw: Tensor) -> Tensor:
        """The chosen child of each group."""
        return boltzmann(children.value, children.group, children.groups, draw, temperature=self.temperature)


@dataclass(frozen=True, kw_only=True)
class UpperBound:
    """The child with the largest value plus a bonus for those that were visited little: a search for the best.

        value + c spread sqrt(ln N(parent) / N(child))

    Source: UCT, as in the search variant of Diffusion Tree Sampling; the spread makes c free of the reward's unit.
    Limits: c = 0 is greedy; of equals the first is taken.

    Example:
        >>> UpperBound(exploration=0.0).exploration
        0.0
    """

    exploration: float = 1.0
    """c, at least 0."""

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("exploration", self.exploration)

    def __call__(self, children: Children, draw: Tensor) -> Tensor:  # noqa: ARG002 - nothing is drawn
        """The chosen child of each group."""
        bonus = (children.above.double().log() / children.visits.double()).sqrt()
        score = children.value + self.exploration * children.spread * bonus
        best = segments.group_max(score, children.group, children.groups, _every(children))
        place = (score == best[children.group]).nonzero().squeeze(1)
        first = torch.full((children.groups,), len(score))
        return first.scatter_reduce(0, children.group[place], place, "amin")


@dataclass(frozen=True, kw_only=True)
class Widening:
    """How many children a node may have: the more it was visited, the more.

        limit = C N^alpha;   a node with fewer children gets a new one, one with as many or more is passed through

    Source: progressive widening, Couetoux et al. 2011; Diffusion Tree Sampling has C = 2, alpha = 0.8.
    Limits: alpha = 1 with C >= 1 is never reached: every trajectory begins anew at the root.

    Example:
        >>> Widening(scale=2.0, exponent=0.5).limit(torch.tensor([4])).tolist()
        [4.0]
    """

    scale: float = 2.0
    """C, above 0."""
    exponent: float = 0.8
    """alpha, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("scale", self.scale)
        checks.within("exponent", self.exponent, 0.0, 1.0)

    def limit(self, visits: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Children that nodes with so many visits may have."""
        return self.scale * visits.double() ** self.exponent

    def branching(self, images: int) -> int:
        """The number of trajectories that a search is given, if its tree can branch with so many.

        The root is full for the first time when N > C N^alpha; before that every trajectory begins anew, and a search
        is importance resampling.

        Args:
            images: trajectories whose cost is the budget.

        Returns:
            `images`.

        Raises:
            SettingError: the root cannot be full before they are spent.
        """
        full = self.scale ** (1 / (1 - self.exponent)) if self.exponent < 1 else math.inf
        if images <= full:
            when = f"nothing branches before image {full:.0f}" if full < 1e9 else "nothing ever branches"
            raise SettingError(
                f"images={images} with exponent={self.exponent:g} grows no tree: a node may have C N^alpha children, "
                f"so {when}, and the search is importance resampling. Give more images, or a lower "
                f"exponent: with 0.5 a tree branches after {self.scale**2:.0f}."
            )
        return images


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search of one root ends: no new trajectory is begun once either number is reached.

    Example:
        >>> Budget(calls=100.0).descents
        10000
    """

    calls: float = 1000.0
    """Model calls."""
    descents: int = 10_000
    """Walks down the tree, those to finished trajectories included, which cost no calls."""
    at_once: int = 1
    """Walks before the steps they ask for are taken together. A walk counts as a visit of what it passed at once."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("calls", self.calls)
        checks.at_least("descents", self.descents, 1)
        checks.at_least("at_once", self.at_once, 1)

    @staticmethod
    def worth(*, images: int, steps: int, at_once: int = 1) -> Budget:
        """As many calls as independent trajectories of so many steps take.

        Args:
            images: number of trajectories.
            steps: model calls of each.
            at_once: as the field.

        Returns:
            The budget.
        """
        return Budget(calls=float(images * steps), at_once=at_once)
