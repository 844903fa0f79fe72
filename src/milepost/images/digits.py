"""Handwritten digits of 8 x 8 pixels that ship with scikit-learn, in two halves that share no image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import keys, optional

CLASSES = 10
SIDE = 8
SHAPE = (SIDE, SIDE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Images in [-1, 1] (-1 is blank paper) and what they show."""

    image: Float[Tensor, "n 8 8"]
    label: Int[Tensor, " n"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Halves:
    """Two halves of the data: what is learned from one can be judged by the other."""

    first: Digits
    second: Digits


@cache
def digits() -> Digits:
    """All 1797 images, in the order of the data set.

    Returns:
        The images; share them, do not change them.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    datasets = optional.load("sklearn.datasets", extra="flow", purpose="The digits")
    loaded: Any = datasets.load_digits()
    image = torch.tensor(loaded.images, dtype=torch.float32) / 8 - 1
    return Digits(image=image, label=torch.tensor(loaded.target, dtype=torch.int64))


@cache
def halves() -> Halves:
    """The images in two halves, drawn once and for all."""
    every = digits()
    order = torch.from_numpy(keys.generator(keys.fold(0, "digits", "halves")).permutation(len(every.label)))
    middle = len(order) // 2
    first, second = order[:middle], order[middle:]
    return Halves(
        first=Digits(image=every.image[first], label=every.label[first]),
        second=Digits(image=every.image[second], label=every.label[second]),
    )
