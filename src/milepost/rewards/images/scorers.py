"""Scores of finished images, each a small part: class, confidence, closeness to the data, compressibility."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.images.digits import digits
from milepost.rewards.images import classifiers

LOWEST = -20.0
"""Nats: a class that is less likely than this is as wrong as can be, so that one image cannot outweigh a group."""
_LEVELS = 16


class Scorer(Protocol):
    """Scores images by the class that was asked for."""

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest score."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether the score has a gradient in the pixels."""
        ...

    def __call__(self, image: Tensor, label: Tensor) -> Tensor:
        """One score per image."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassLogProb:
    """ln p(class | image) of the rewarding classifier, in nats, not below `LOWEST`."""

    range = (LOWEST, 0.0)
    differentiable = True

    def __call__(self, image: Float[Tensor, "n 8 8"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per image."""
        return classifiers.log_prob(classifiers.rewarding(), image, label).clamp(min=LOWEST, max=0)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """p(class | image) of the rewarding classifier."""

    range = (0.0, 1.0)
    differentiable = True

    def __call__(self, image: Float[Tensor, "n 8 8"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per image."""
        return classifiers.log_prob(classifiers.rewarding(), image, label).exp().clamp(max=1)


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """1 where the judging classifier, which no training sees, takes the image for the class that was asked for."""

    range = (0.0, 1.0)
    differentiable = False

    def __call__(self, image: Float[Tensor, "n 8 8"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per image."""
        return (classifiers.judging()(image).argmax(1) == label).float()


@dataclass(frozen=True, kw_only=True)
class NearData:
    """Minus the distance to the nearest image of the data, in units of pixels in [-1, 1]: 0 is a copy.

    Real images lie about 2 from their nearest neighbour, noise 7 and more.
    """

    range = (-1e6, 0.0)
    differentiable = True

    def __call__(self, image: Float[Tensor, "n 8 8"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:  # noqa: ARG002
        """One score per image."""
        return -torch.cdist(image.flatten(1), digits().image.flatten(1)).min(1).values


@dataclass(frozen=True, kw_only=True)
class Compressibility:
    """Minus the bytes of the image in 16 shades, compressed by zlib: simple images score high.

    For images of any size and number of colours; the stated range is that of the digits.
    """

    range = (-200.0, 0.0)
    differentiable = False

    def __call__(self, image: Float[Tensor, "n ..."], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:  # noqa: ARG002
        """One score per image."""
        shades = ((image + 1) / 2 * (_LEVELS - 1)).round().clamp(0, _LEVELS - 1).to(torch.uint8)
        return torch.tensor([-float(len(zlib.compress(one.numpy().tobytes(), 9))) for one in shades])


@dataclass(frozen=True, kw_only=True, eq=False)
class AtLeast:
    """1 where another score is at least `bar`, else 0: what counts as success where nothing says what is right."""

    scorer: Scorer
    bar: float
    range = (0.0, 1.0)
    differentiable = False

    def __call__(self, image: Tensor, label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per image; NaN where the other has none."""
        value = self.scorer(image, label)
        return torch.where(value.isfinite(), (value >= self.bar).float(), torch.nan)
