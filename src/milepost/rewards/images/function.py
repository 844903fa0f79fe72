"""A user's own score of pictures: a function of pictures and prompts, from a file or a module."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.errors import FormatError
from milepost.rewards.function import arguments_for, load_function


@dataclass(frozen=True, kw_only=True)
class PictureFunction:
    """Scores pictures by `f(images, prompts) -> one number each`. Implements `scorers.Scorer`.

    `images` is a tensor (n, 3, height, width) of colours in [0, 1], `prompts` a list of as many texts. None in place of
    a number is a picture that could not be scored.

    Example:
        >>> score = PictureFunction(source="operator:length_hint", prompts=("a cat",))
        >>> score.range
        (-inf, inf)
    """

    source: str
    """"mine.py:function" or "package.module:function"."""
    prompts: Sequence[str]
    """In the order of the environment's numbers."""
    range = (-math.inf, math.inf)
    differentiable = False

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.source.rpartition(":")[2]

    def load(self) -> None:
        """Load the function, so that a mistake in its name or file shows before a model is loaded.

        Raises:
            SettingError: it does not exist, or asks for something else than images and prompts.
        """
        arguments_for(load_function(self.source), {"images": None, "prompts": None})

    def __call__(self, image: Float[Tensor, "n 3 h w"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """One score per picture, NaN where there is none; pictures in [-1, 1]."""
        function = load_function(self.source)
        columns = {
            "images": (image.clamp(-1, 1) + 1) / 2,
            "prompts": [self.prompts[number] for number in cast("list[int]", label.tolist())],
        }
        return _numbers(self.name, function(**arguments_for(function, columns)), len(image))


def _numbers(name: str, given: Any, count: int) -> Tensor:
    values = list(cast("Iterable[object]", given)) if isinstance(given, Iterable) else [given]
    wrong = [value for value in values if value is not None and not isinstance(value, SupportsFloat)]
    if len(values) != count or wrong or isinstance(given, str):
        said = f"{wrong[0]!r:.40}" if wrong else f"{len(values)} values"
        raise FormatError(f"{name} returned {said} for {count} pictures, expected one number or None for each.")
    return torch.tensor([math.nan if value is None else float(cast("SupportsFloat", value)) for value in values])
