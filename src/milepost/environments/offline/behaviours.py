"""Mixed behaviour that is worth recording: a swing-up rule spoilt by chance, and linear rules on their way up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from milepost import checks, keys
from milepost.environments.offline.worlds import Episode, World, filmed, forest_of, play, returns_of, world
from milepost.forest import Forest
from milepost.traces.moves import Controller


@dataclass(kw_only=True, eq=False)
class SwingUp:
    """Swings Gymnasium's pendulum up by its energy and holds it there; some actions are drawn uniformly instead.

    u = 2 sign(w (E_up - E)) far from the top, -(10 theta + 2 w) close to it;   E = w^2 / 6 + 5 cos(theta)
    """

    mix: float
    """Chance that an action is drawn, in [0, 1]."""
    key: int
    stream: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open the stream of draws."""
        checks.within("mix", self.mix, 0.0, 1.0)
        self.stream = keys.generator(self.key)

    def act(self, state: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
        """Torque for each state (cosine, sine, angular velocity)."""
        angle, speed = torch.atan2(state[:, 1], state[:, 0]), state[:, 2]
        energy = speed.square() / 6 + 5 * state[:, 0]
        pump = 2 * torch.sign(torch.where(speed == 0, torch.ones_like(speed), speed) * (5 - energy))
        hold = -(10 * angle + 2 * speed)
        near = (angle.abs() < 0.5) & (speed.abs() < 3)
        ruled = torch.where(near, hold, pump).clamp(-2, 2)
        draws = torch.from_numpy(self.stream.random((len(state), 2)).astype(np.float32))
        return torch.where(draws[:, 0] < self.mix, 4 * draws[:, 1] - 2, ruled)[:, None]


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear rule, cut off at the bounds of the action.

    a = clip(W s + b, low, high)
    """

    weight: Float[Tensor, "a s"]
    bias: Float[Tensor, " a"]
    low: Float[Tensor, " a"]
    high: Float[Tensor, " a"]

    def act(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """Action for each state."""
        return torch.maximum(torch.minimum(state @ self.weight.T + self.bias, self.high), self.low)


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """Plays a task under mixed behaviour and keeps every episode."""

    episodes: int = 200
    """Episodes to record."""
    population: int = 16
    """Linear rules per generation, on tasks of MuJoCo; the best quarter decides the next generation."""
    width: float = 2.0
    """First standard deviation of a linear rule's numbers."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("episodes", self.episodes, 2)
        checks.at_least("population", self.population, 4)
        checks.positive("width", self.width)

    def __call__(self, name: str, key: int) -> Forest:
        """Record.

        Args:
            name: a task of `worlds.NAMES`.
            key: all randomness comes from it.

        Returns:
            The episodes.

        Raises:
            UnknownName: no such task.
            MissingExtra: gymnasium, or the simulator, is not installed.
        """
        task = world(name)
        found = self._swings(task, key) if task.name == "pendulum" else self._generations(task, key)
        return forest_of(task, found)

    def _swings(self, task: World, key: int) -> list[Episode]:
        mixes = keys.generator(keys.fold(key, "mixes")).random(self.episodes)
        rules = [SwingUp(mix=float(mix), key=keys.fold(key, "torque", place)) for place, mix in enumerate(mixes)]
        return play(task, rules, keys.fold(key, "episodes"))

    def _generations(self, task: World, key: int) -> list[Episode]:
        """Cross-entropy search over linear rules: bad episodes first, good ones later."""
        states, actions = task.open(1)[0].observation_space.shape[0], len(task.low)
        mean = np.zeros(actions * (states + 1))
        spread, found, number = np.full(len(mean), self.width), list[Episode](), 0
        while len(found) < self.episodes:
            own = keys.fold(key, "generation", number)
            count = min(self.population, self.episodes - len(found))
            drawn = mean + spread * keys.generator(own).standard_normal((count, len(mean)))
            played = play(task, [_linear(task, one, states) for one in drawn], keys.fold(own, "episodes"))
            found += played
            best = drawn[np.argsort(-returns_of(played).numpy(), kind="stable")[: max(2, count // 4)]]
            mean, spread = best.mean(0), best.std(0) + 0.05 * self.width / (1 + number)
            number += 1
        return found


def _linear(task: World, numbers: NDArray[np.float64], states: int) -> Linear:
    low, high = torch.tensor(task.low), torch.tensor(task.high)
    flat = torch.from_numpy(numbers.astype(np.float32))
    size = len(low) * states
    return Linear(flat[:size].reshape(len(low), states), flat[size:], low, high)


@dataclass(kw_only=True, eq=False)
class Chance:
    """Draws every action uniformly from its range."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    key: int
    stream: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open the stream of draws."""
        self.stream = keys.generator(self.key)

    def act(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """An action per state."""
        return torch.from_numpy(self.stream.uniform(self.low, self.high, (len(state), len(self.low)))).float()


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Plays the tasks with learned controllers. Implements `evaluation.offline.comparison.Arena`."""

    def bounds(self, task: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Smallest and largest value of each number of an action."""
        found = world(task)
        return found.low, found.high

    def returns(self, task: str, controller: Controller | None, count: int, key: int) -> Float[Tensor, " e"]:
        """Returns of `count` episodes of a task; without a controller, of random actions. `key` decides the starts."""
        found = world(task)
        rule = controller or Chance(low=found.low, high=found.high, key=keys.fold(key, "chance"))
        return returns_of(play(found, [rule] * count, key))

    def film(self, task: str, controller: Controller, key: int) -> list[dict[str, Any]]:
        """Six frames of the first episode that `returns` plays, evenly chosen, with the reward and the sum so far."""
        return filmed(world(task), controller, key)
