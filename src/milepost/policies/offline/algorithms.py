"""TD3+BC, CQL and IQL of d3rlpy as learners: its algorithms, fed with moves; what it draws follows from the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, keys, optional
from milepost.traces.moves import Moves


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how wide an algorithm of d3rlpy is trained."""

    steps: int = 3000
    width: int = 128
    """Numbers in each of two hidden layers."""
    batch: int = 256
    discount: float = 0.99

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("steps", self.steps, 1)
        checks.at_least("width", self.width, 1)
        checks.at_least("batch", self.batch, 1)
        checks.within("discount", self.discount, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Learned:
    """A controller that d3rlpy learned. Implements `traces.moves.Controller`."""

    algorithm: Any
    mean: Float[Tensor, " s"]
    std: Float[Tensor, " s"]
    low: Float[Tensor, " a"]
    high: Float[Tensor, " a"]

    def act(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """Action for each state."""
        unit = torch.from_numpy(self.algorithm.predict(((state - self.mean) / self.std).numpy().astype(np.float32)))
        return self.low + (self.high - self.low) * (unit.clamp(-1, 1) + 1) / 2


@dataclass(frozen=True, kw_only=True)
class TD3BC:
    """TD3+BC: the critic's gradient, held to the data by regression (Fujimoto and Gu 2021)."""

    training: Training = field(default_factory=Training)
    alpha: float = 2.5
    """Weight of the critic against the regression."""

    def __call__(self, moves: Moves, low: Tensor, high: Tensor, key: int) -> Learned:
        """Learn a controller; see `cloning.Cloning`."""
        return _learned(moves, low, high, key, self.training, self._build)

    def _build(self, d3rlpy: Any, shared: dict[str, Any], critic: dict[str, Any]) -> Any:
        return d3rlpy.algos.TD3PlusBCConfig(alpha=self.alpha, **shared, **critic)


@dataclass(frozen=True, kw_only=True)
class CQL:
    """Conservative Q-learning: actions that are not in the data are thought less of (Kumar et al. 2020)."""

    training: Training = field(default_factory=Training)
    weight: float = 5.0
    """Of the conservative term."""

    def __call__(self, moves: Moves, low: Tensor, high: Tensor, key: int) -> Learned:
        """Learn a controller; see `cloning.Cloning`."""
        return _learned(moves, low, high, key, self.training, self._build)

    def _build(self, d3rlpy: Any, shared: dict[str, Any], critic: dict[str, Any]) -> Any:
        return d3rlpy.algos.CQLConfig(conservative_weight=self.weight, **shared, **critic)


@dataclass(frozen=True, kw_only=True)
class IQL:
    """Implicit Q-learning: the critic never asks for an action that is not in the data (Kostrikov et al. 2021)."""

    training: Training = field(default_factory=Training)
    expectile: float = 0.7
    temperature: float = 3.0
    """Of the weights that advantages get in the regression."""

    def __call__(self, moves: Moves, low: Tensor, high: Tensor, key: int) -> Learned:
        """Learn a controller; see `cloning.Cloning`."""
        return _learned(moves, low, high, key, self.training, self._build)

    def _build(self, d3rlpy: Any, shared: dict[str, Any], critic: dict[str, Any]) -> Any:
        return d3rlpy.algos.IQLConfig(expectile=self.expectile, weight_temp=self.temperature, **shared, **critic)


def _learned(
    moves: Moves, low: Tensor, high: Tensor, key: int, training: Training, build: Callable[..., Any]
) -> Learned:
    d3rlpy: Any = optional.load("d3rlpy", extra="offline", purpose="Offline learning with TD3+BC, CQL or IQL")
    encoder = d3rlpy.models.encoders.VectorEncoderFactory(hidden_units=[training.width, training.width])
    shared = {"batch_size": training.batch, "gamma": training.discount, "actor_encoder_factory": encoder}
    with torch.random.fork_rng(devices=[]):  # d3rlpy draws weights and noise from the global stream
        torch.manual_seed(keys.seed_of(keys.fold(key, "weights")))  # noqa: TID251 - put back
        algorithm = build(d3rlpy, shared, {"critic_encoder_factory": encoder}).create(device="cpu:0")
        algorithm.create_impl((moves.state.shape[1],), len(low))
        mean, std = moves.state.mean(0), moves.state.std(0, correction=0) + 1e-6
        for batch in _batches(moves, mean, std, low, high, (training, keys.fold(key, "batches"))):
            algorithm.update(d3rlpy.dataset.TransitionMiniBatch(**batch))
    return Learned(algorithm, mean, std, low, high)


def _batches(
    moves: Moves, mean: Tensor, std: Tensor, low: Tensor, high: Tensor, how: tuple[Training, int]
) -> Iterator[dict[str, Any]]:
    """Moves drawn uniformly, hence trajectories in proportion to their length, in d3rlpy's form."""
    training, key = how
    unit = (2 * (moves.action - low) / (high - low) - 1).clamp(-1, 1)
    scale = float(moves.reward.std(correction=0)) or 1.0
    follows = torch.arange(len(moves))
    follows[moves.previous[moves.previous >= 0]] = (moves.previous >= 0).nonzero().squeeze(1)
    table = {
        "observations": (moves.state - mean) / std,
        "actions": unit,
        "rewards": moves.reward[:, None] / scale,
        "next_observations": (moves.after - mean) / std,
        "next_actions": unit[follows],
        "terminals": moves.terminated[:, None],
    }
    arrays = {name: value.numpy().astype(np.float32) for name, value in table.items()}
    stream = keys.generator(key)
    intervals = np.ones((training.batch, 1), dtype=np.float32)
    for _ in range(training.steps):
        pick = stream.integers(len(moves), size=training.batch)
        yield {name: value[pick] for name, value in arrays.items()} | {"intervals": intervals, "transitions": []}
