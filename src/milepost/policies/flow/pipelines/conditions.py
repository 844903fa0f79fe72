"""Embeddings of prompts: what a pipeline's text encoders say, computed once, so that the encoders can be let go."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.errors import SettingError, ShapeError


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """A table of prompts. Number i is the i-th prompt, -1 the last row: the empty prompt, which is no condition.

    Example:
        >>> table = Conditions(tokens=torch.zeros(3, 5, 8), pooled=torch.arange(3.0)[:, None])
        >>> table.of(torch.tensor([1, -1])).pooled.flatten().tolist(), table.prompts
        ([1.0, 2.0], 2)
    """

    tokens: Float[Tensor, "c l d"]
    """One sequence of embeddings per prompt."""
    pooled: Float[Tensor, "c p"]
    """One vector per prompt."""

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.tokens.dim() != 3 or self.pooled.dim() != 2 or len(self.tokens) != len(self.pooled):
            raise ShapeError(
                f"Conditions got tokens {tuple(self.tokens.shape)} and pooled {tuple(self.pooled.shape)}, expected "
                "(prompts + 1, length, width) and (prompts + 1, width), the last row for the empty prompt."
            )

    @property
    def prompts(self) -> int:
        """How many there are, the empty one not counted."""
        return len(self.tokens) - 1

    def of(self, number: Int[Tensor, " n"]) -> Conditions:
        """The rows of the given prompts.

        Args:
            number: prompts by number; -1 is the empty one.

        Returns:
            One row for each.

        Raises:
            SettingError: a number that is no prompt's.
        """
        if len(number) and not -1 <= int(number.min()) <= int(number.max()) < self.prompts:
            raise SettingError(
                f"Prompts {int(number.min())} to {int(number.max())} were asked for, but {self.prompts} were encoded: "
                "give the policy the prompts of the environment, held-out ones included (`Prompts.every`)."
            )
        return Conditions(tokens=self.tokens[number], pooled=self.pooled[number])

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditions:
        """The same on a device, in a type."""
        return Conditions(tokens=self.tokens.to(device, dtype), pooled=self.pooled.to(device, dtype))
