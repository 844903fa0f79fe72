"""What can be said of drawn images as a whole: how much they differ, and how far they are from the data.

A policy that learns to please its reward shows it here: every image of a class becomes the same, or no digit any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.images.digits import CLASSES, digits


def spread(points: Float[Tensor, "n d"], group: Int[Tensor, " n"], *, groups: int) -> Float[Tensor, ""]:
    """Mean distance between two members of a group.

        mean over groups of at least two of   mean over i != j of |x_i - x_j|

    Args:
        points: one per member.
        group: number of each member's group.
        groups: how many there are.

    Returns:
        A distance, in the units of the points; NaN where no group has two members.
    """
    found: list[Tensor] = []
    for number in range(groups):
        members = points[group == number]
        count = len(members)
        if count > 1:
            found.append(torch.cdist(members, members).sum() / (count * (count - 1)))
    return torch.stack(found).mean() if found else points.new_tensor(math.nan)


def energy_gap(points: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Distance of two samples as laws, as a share of what it could be.

        1 - (E|X - X'| + E|Y - Y'|) / (2 E|X - Y|)

    The means over one sample leave out a point's distance to itself, so that two samples of one law give 0 on average
    and may give a little less.

    Args:
        points: a sample, at least two.
        others: a sample of the law to compare with, at least two.

    Returns:
        At most 1: 0 for one law, 1 for two points apart.

    Raises:
        ShapeError: a sample of less than two points.

    Source: Székely and Rizzo 2013, "Energy statistics", section 2; the coefficient H.
    """
    if min(len(points), len(others)) < 2:
        raise ShapeError(f"energy_gap got {len(points)} and {len(others)} points, expected at least two of each.")
    between = torch.cdist(points, others).mean()
    within = sum(torch.cdist(one, one).sum() / (len(one) * (len(one) - 1)) for one in (points, others))
    return 1 - within / (2 * between)


@cache
def _usual_spread() -> float:
    every = digits()
    return float(spread(every.image.flatten(1).double(), every.label, groups=CLASSES))


def _drawn(forest: Forest) -> tuple[Tensor, Tensor]:
    """Finished images, flat, and the classes they were asked for."""
    leaves = forest.leaves()
    return forest["latent"][leaves].flatten(1).double(), forest["observation"][forest.root_of()[leaves]]


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Mean distance between two images of the class that was asked for, as a share of that between real ones.

    1 is as diverse as the digits, 0 is one image for each class; images of wrong classes raise it above 1. Implements
    `recipe.Measure`.

    Example:
        >>> Diversity().name
        'diversity'
    """

    name: str = "diversity"
    """What it is called."""

    def __call__(self, forest: Forest) -> float:
        """The measure over the leaves; NaN where no class has two images."""
        image, label = _drawn(forest)
        return float(spread(image, label, groups=CLASSES)) / _usual_spread()


@dataclass(frozen=True, kw_only=True)
class DataGap:
    """Energy distance between drawn and real images, whatever their class: 0 is the law of the data, 1 is far from it.

    Implements `recipe.Measure`.

    Example:
        >>> DataGap().name
        'data_gap'
    """

    name: str = "data_gap"
    """What it is called."""

    def __call__(self, forest: Forest) -> float:
        """The measure over the leaves; NaN where there are not two images."""
        image, _ = _drawn(forest)
        return float(energy_gap(image, digits().image.flatten(1).double())) if len(image) > 1 else math.nan


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean distance between two latents of one prompt, over the root of the count of numbers in them; 0: all are equal.

    Latents of pure noise have 1.4. Where the reward rises and this falls, a prompt has one picture left. Implements
    `recipe.Measure`.

    Example:
        >>> Spread().name
        'spread'
    """

    name: str = "spread"
    """What it is called."""

    def __call__(self, forest: Forest) -> float:
        """The measure over the leaves; NaN where no prompt has two pictures."""
        latent, prompt = _drawn(forest)
        number = prompt.unique(return_inverse=True)[1]
        groups = int(number.max()) + 1 if len(number) else 0
        return float(spread(latent, number, groups=groups)) / math.sqrt(latent.shape[1])


@dataclass(frozen=True, kw_only=True)
class MeanScore:
    """Mean of a reward over the held-out images that have one. Implements `recipe.Measure`.

    Example:
        >>> MeanScore(name="clip").name
        'clip'
    """

    name: str
    """Of the reward, and what the measure is called."""

    def __call__(self, forest: Forest) -> float:
        """The measure over the leaves; NaN where all of them failed."""
        leaves = forest.leaves()
        ok = forest[f"ok.{self.name}"][leaves]
        return float(forest[f"reward.{self.name}"][leaves][ok].double().mean())
