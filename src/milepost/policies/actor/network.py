"""The network of an actor: two perceptrons, one for actions and one for values, on observations of known scale."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from milepost import keys

LARGEST = 5.0
"""Scaled observations are cut to this size."""
_LEAST_SPREAD = 1e-2


class ActorNetwork(nn.Module):
    """Outputs for a distribution over actions, and one value per reward stream; nothing is shared between the two."""

    def __init__(self, sizes: tuple[int, int, int], *, width: int, key: int) -> None:
        """Draw the initial weights from a key.

        Args:
            sizes: numbers in an observation, outputs for actions, values (0: an actor without a critic).
            width: of both hidden layers.
            key: decides the weights.
        """
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        seen, outputs, values = sizes
        self.centre: Tensor
        self.spread: Tensor
        self.register_buffer("centre", torch.zeros(seen))
        self.register_buffer("spread", torch.ones(seen))
        self.actor = _perceptron(seen, width, outputs)
        self.critic = _perceptron(seen, width, values) if values else None
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(_initial(name, value, keys.fold(key, name)))

    def scaled_by(self, observations: NDArray[np.float32]) -> None:
        """Take the scale of the input from observations, once.

        Args:
            observations: one per row; entries that hardly change among them are not stretched.
        """
        known = torch.from_numpy(observations).double()
        spread = known.std(0, correction=0)
        self.centre.copy_(known.mean(0))
        self.spread.copy_(torch.where(spread > _LEAST_SPREAD, spread, 1.0))

    def _scaled(self, observation: Float[Tensor, "n s"]) -> Float[Tensor, "n s"]:
        return ((observation - self.centre) / self.spread).clamp(-LARGEST, LARGEST)

    def act(self, observation: Float[Tensor, "n s"]) -> Float[Tensor, "n o"]:
        """Outputs for the distribution over actions."""
        return self.actor(self._scaled(observation))

    def appraise(self, observation: Float[Tensor, "n s"]) -> Float[Tensor, "n v"]:
        """Values of the states observed; no columns without a critic."""
        if self.critic is None:
            return observation.new_zeros(len(observation), 0)
        return self.critic(self._scaled(observation))


def _perceptron(seen: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(seen, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
    )


def _initial(name: str, value: Tensor, key: int) -> Tensor:
    """Orthogonal matrices; small in the last layers, so that the first policy is nearly uniform and values near 0."""
    if value.dim() == 1:
        return torch.zeros_like(value)
    rows, columns = value.shape
    drawn = torch.from_numpy(keys.normal([key], (max(rows, columns), min(rows, columns)))[0])
    basis, upper = torch.linalg.qr(drawn)
    basis = basis * upper.diagonal().sign()
    gain = (0.01 if name.startswith("actor") else 0.1) if name.split(".")[1] == "4" else 2**0.5
    return gain * (basis if rows >= columns else basis.T)
