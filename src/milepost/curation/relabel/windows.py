"""What an inverse dynamics model sees: a window of normalised states around a move, as pure functions.

Source: Zheng et al. 2023 (SS-ORL), multi-transition inverse dynamics model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks

SMALLEST = 1e-6
"""Added to standard deviations, so that a constant number is 0 and not NaN."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Mean and standard deviation of each number of a state."""

    mean: Float[Tensor, " s"]
    std: Float[Tensor, " s"]

    def __call__(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n s"]:
        """Normalised states."""
        return (state - self.mean) / self.std


def scale_of(state: Float[Tensor, "n s"]) -> Scale:
    """Measure the scale of states, of labelled and unlabelled trajectories alike.

        mean_j,   std_j + 1e-6 (divisor n)

    Args:
        state: at least one state.

    Returns:
        The scale.
    """
    wide = state.to(torch.float64)
    mean = wide.mean(0)
    std = (wide - mean).square().mean(0).sqrt() + SMALLEST
    return Scale(mean=mean.to(state.dtype), std=std.to(state.dtype))


def windows(
    state: Float[Tensor, "n s"], change: Float[Tensor, "n s"], previous: Int[Tensor, " n"], past: int
) -> Float[Tensor, "n w"]:
    """Put each move's past states, its state and what changed into one row.

        row_t = (s_{t-k}, ..., s_{t-1}, s_t, s_{t+1} - s_t),   w = (k + 2) s;   0 where the past is missing

    The next state enters as its difference: the same information, but what an action does is small beside the states.

    Args:
        state: normalised state before each move, so that 0 is the mean state.
        change: normalised state after less state before: of the stored ones, also at a trajectory's end.
        previous: place of the move before each, -1 at a trajectory's start.
        past: k, at least 0; 0 is the plain model of two states.

    Returns:
        One row per move.

    Raises:
        SettingError: `past` below 0.

    Example:
        >>> windows(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]]), torch.tensor([-1, 0]), 1).tolist()
        [[0.0, 1.0, 1.0], [1.0, 2.0, 3.0]]
    """
    checks.at_least("past", past, 0)
    columns, place = [state, change], torch.arange(len(state))
    for _ in range(past):
        place = torch.where(place >= 0, previous[place.clamp(min=0)], -1)
        earlier = state[place.clamp(min=0)] if len(state) else state
        columns.insert(0, torch.where((place >= 0)[:, None], earlier, torch.zeros_like(state)))
    return torch.cat(columns, 1)
