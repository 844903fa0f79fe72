"""Filtered behaviour cloning: imitate the best trajectories by regression.

Source: Chen et al. 2021 (Decision Transformer), the baseline "%BC"; used by Zheng et al. 2023 as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from milepost import checks, keys
from milepost.traces.moves import Moves, returns


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A network from normalised states to actions inside their range. Implements `traces.moves.Controller`.

    a = low + (high - low) (tanh(f(s)) + 1) / 2
    """

    layers: nn.Sequential
    mean: Float[Tensor, " s"]
    std: Float[Tensor, " s"]
    low: Float[Tensor, " a"]
    high: Float[Tensor, " a"]

    def __call__(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """Action for each state, with a gradient."""
        squashed = torch.tanh(self.layers((state - self.mean) / self.std))
        return self.low + (self.high - self.low) * (squashed + 1) / 2

    def act(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """Action for each state."""
        with torch.no_grad():
            return self(state)


def perceptron(moves: Moves, width: int, low: Tensor, high: Tensor, stream: torch.Generator) -> Perceptron:
    """Draw a network of two hidden layers for the states and actions of moves.

    Args:
        moves: give the sizes and the scale of the states.
        width: hidden numbers per layer.
        low: smallest value of each number of an action.
        high: largest value.
        stream: draws the weights, uniformly within 1 / sqrt(inputs).

    Returns:
        The network.
    """
    sizes = [moves.state.shape[1], width, width, len(low)]
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
    for one in linear:
        bound = 1 / math.sqrt(one.in_features)
        for part in (one.weight, one.bias):
            part.data.uniform_(-bound, bound, generator=stream)
    layers = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
    std = moves.state.std(0, correction=0) + 1e-6
    return Perceptron(layers, moves.state.mean(0), std, low, high)


def best(moves: Moves, share: float) -> Bool[Tensor, " n"]:
    """Say which moves belong to the trajectories of the largest return.

        the max(1, int(m share)) best of the m trajectories that have moves

    Args:
        moves: of any number of trajectories; those without moves do not count.
        share: in (0, 1].

    Returns:
        One flag per move.
    """
    present = torch.unique(moves.trajectory)
    total = returns(moves)[present]
    count = max(1, int(len(present) * share))
    chosen = present[torch.argsort(total, descending=True, stable=True)[:count]]
    return torch.isin(moves.trajectory, chosen)


@dataclass(frozen=True, kw_only=True)
class Cloning:
    """Regression of the actions of the best trajectories on their states."""

    share: float = 0.2
    """Share of the trajectories, best first, that are imitated."""
    width: int = 128
    steps: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("share", self.share, 0.0, 1.0)
        checks.positive("share", self.share)
        checks.at_least("width", self.width, 1)
        checks.at_least("steps", self.steps, 1)
        checks.at_least("batch", self.batch, 1)
        checks.positive("learning_rate", self.learning_rate)

    def __call__(self, moves: Moves, low: Tensor, high: Tensor, key: int) -> Perceptron:
        """Learn a controller.

        Args:
            moves: with known actions.
            low: smallest value of each number of an action.
            high: largest value.
            key: all randomness comes from it.

        Returns:
            The controller.
        """
        stream = torch.Generator().manual_seed(keys.seed_of(keys.fold(key, "cloning")))
        chosen = moves.take(best(moves, self.share))
        network = perceptron(chosen, self.width, low, high, stream)
        optimiser = torch.optim.Adam(network.layers.parameters(), lr=self.learning_rate)
        for _ in range(self.steps):
            pick = torch.randint(len(chosen), (min(self.batch, len(chosen)),), generator=stream)
            loss = (network(chosen.state[pick]) - chosen.action[pick]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return network
