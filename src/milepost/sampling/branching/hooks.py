"""What a sampler may do besides asking and being told: look at steps while they grow, with rewards given to it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from milepost.forest import Forest
from milepost.part import State


@runtime_checkable
class Screens(Protocol):
    """A sampler that looks at proposed steps before the environment answers them: it executes some of them."""

    def screen(self, forest: Forest, rows: Tensor, state: State) -> Forest:
        """Return the forest with further columns; of `rows`, those whose `end` is set are not answered."""
        ...


@runtime_checkable
class Reviews(Protocol):
    """A sampler that looks at new steps after the environment answered, before `tell`: it scores them or ends some."""

    def review(self, forest: Forest, rows: Tensor, state: State) -> Forest:
        """Return the forest with further columns."""
        ...


class Scorer(Protocol):
    """Scores rows of a forest that still grows: given to a sampler that needs rewards to go on."""

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Return the forest with `reward.total`, `ok.total`, `reason.total`, their parts, and what they cost."""
        ...
