"""Inverse dynamics: which action led from a window of states to the next state, learned where actions are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, keys
from milepost.curation.relabel import gaussian
from milepost.errors import ShapeError

_LOG_STD = (-6.0, 2.0)
"""Bounds of the log standard deviation, in nats."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A perceptron from windows to a squashed Gaussian over actions."""

    weights: tuple[Float[Tensor, "o i"], ...]
    biases: tuple[Float[Tensor, " o"], ...]
    dropout: float

    @staticmethod
    def drawn(sizes: Sequence[int], dropout: float, stream: torch.Generator) -> Network:
        """Draw weights and biases uniformly within 1 / sqrt(inputs)."""
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        for inputs, outputs in pairwise(sizes):
            bound = 1 / math.sqrt(inputs)
            weights.append((torch.rand(outputs, inputs, generator=stream) * 2 - 1) * bound)
            biases.append((torch.rand(outputs, generator=stream) * 2 - 1) * bound)
        return Network(weights=tuple(weights), biases=tuple(biases), dropout=dropout)

    def parameters(self) -> list[Tensor]:
        """Everything that is trained."""
        return [*self.weights, *self.biases]

    def copy(self) -> Network:
        """The same numbers, apart from these and without a gradient."""
        weights, biases = (tuple(one.detach().clone() for one in part) for part in (self.weights, self.biases))
        return Network(weights=weights, biases=biases, dropout=self.dropout)

    def __call__(
        self, window: Float[Tensor, "n w"], stream: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "n a"], Float[Tensor, "n a"]]:
        """Centre and log standard deviation; a stream switches dropout on."""
        inner = window
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            inner = torch.relu(torch.nn.functional.linear(inner, weight, bias))
            if stream is not None and self.dropout > 0:
                stays = torch.rand(inner.shape, generator=stream) >= self.dropout
                inner = inner * stays / (1 - self.dropout)
        centre, spread = torch.nn.functional.linear(inner, self.weights[-1], self.biases[-1]).chunk(2, dim=1)
        low, high = _LOG_STD
        return centre, low + (high - low) * (torch.tanh(spread) + 1) / 2


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A trained model and how its training went."""

    network: Network
    """The weights of the smallest validation loss, not the last ones."""
    steps: tuple[int, ...]
    """When it was validated."""
    losses: tuple[float, ...] = field(repr=False)
    """Validation loss at those times, in nats per action."""
    validated: bool
    """False where the labelled trajectories were too few to set one aside: then the losses are of the training set."""


@dataclass(frozen=True, kw_only=True)
class InverseDynamics:
    """How a model is trained: negative log-likelihood, a tenth of the trajectories set aside, the best weights kept."""

    hidden: tuple[int, ...] = (128, 128)
    dropout: float = 0.0
    """Share of hidden numbers that are left out while training."""
    learning_rate: float = 3e-3
    steps: int = 2000
    """Updates at most."""
    batch: int = 256
    patience: int = 10
    """Validations, one every 50 updates, without a better one after which training ends."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.not_empty("hidden", self.hidden)
        checks.within("dropout", self.dropout, 0.0, 0.9)
        checks.positive("learning_rate", self.learning_rate)
        checks.at_least("steps", self.steps, 1)
        checks.at_least("batch", self.batch, 1)
        checks.at_least("patience", self.patience, 1)

    def fit(
        self, window: Float[Tensor, "n w"], inner: Float[Tensor, "n a"], trajectory: Int[Tensor, " n"], key: int
    ) -> Learned:
        """Train on labelled moves.

        Args:
            window: what is seen, see `windows.windows`.
            inner: what is asked for, see `gaussian.inward`.
            trajectory: which moves belong together; whole trajectories are set aside.
            key: decides the first weights, the batches, dropout and what is set aside.

        Returns:
            The best model.

        Raises:
            ShapeError: there is no move.
        """
        if not len(window):
            raise ShapeError("An inverse dynamics model got no labelled move: keep the actions of some trajectories.")
        stream = torch.Generator().manual_seed(keys.seed_of(keys.fold(key, "inverse dynamics")))
        network = Network.drawn([window.shape[1], *self.hidden, 2 * inner.shape[1]], self.dropout, stream)
        aside = set_aside(trajectory, 0.1, keys.fold(key, "set aside"))
        validated = bool(aside.any())
        held = aside if validated else ~aside
        own_window, own_inner = window[~aside], inner[~aside]
        for one in network.parameters():
            one.requires_grad_()
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        best, least, steps, losses = network.copy(), math.inf, list[int](), list[float]()
        for step in range(1, self.steps + 1):
            pick = torch.randint(len(own_window), (min(self.batch, len(own_window)),), generator=stream)
            loss = gaussian.negative_log_density(own_inner[pick], *network(own_window[pick], stream)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % 50 == 0 or step == self.steps:
                with torch.no_grad():
                    found = float(gaussian.negative_log_density(inner[held], *network(window[held])).mean())
                steps.append(step)
                losses.append(found)
                if found < least:
                    best, least = network.copy(), found
                if len(losses) - 1 - losses.index(least) >= self.patience:
                    break
        return Learned(network=best, steps=tuple(steps), losses=tuple(losses), validated=validated)


def set_aside(trajectory: Int[Tensor, " n"], share: float, key: int) -> Bool[Tensor, " n"]:
    """Draw whole trajectories for validation.

        int(share * number of trajectories) of them, without replacement

    Args:
        trajectory: number of each move's trajectory.
        share: in [0, 1).
        key: decides what is drawn.

    Returns:
        One flag per move; none where the share rounds to no trajectory.
    """
    own = torch.unique(trajectory)
    order = keys.generator(key).permutation(len(own))[: int(len(own) * share)]
    return torch.isin(trajectory, own[torch.from_numpy(order)])
