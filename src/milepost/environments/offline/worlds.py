"""The tasks by name: which environment, how long an episode is, and the bounds of its actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from milepost import keys, optional
from milepost.columns import End, Origin
from milepost.environments.control.filming import picture
from milepost.errors import unknown_name
from milepost.forest import Forest
from milepost.images import png
from milepost.traces.moves import Controller


@dataclass(frozen=True, kw_only=True)
class World:
    """A task of Gymnasium with real numbers as state and action."""

    name: str
    environment: str
    """Its id."""
    limit: int
    """Steps after which an episode is cut off."""
    low: tuple[float, ...]
    """Smallest value of each number of an action."""
    high: tuple[float, ...]

    def open(self, count: int, **more: Any) -> list[Any]:
        """Make environments, `more` being further arguments of `gymnasium.make`.

        Raises:
            MissingExtra: gymnasium, or the simulator, is not installed.
        """
        gymnasium: Any = optional.load("gymnasium", extra="control", purpose=f"The task {self.name!r}")
        if self.environment != "Pendulum-v1":
            optional.load("mujoco", extra="control", purpose=f"The task {self.name!r}")
        return [gymnasium.make(self.environment, max_episode_steps=self.limit, **more) for _ in range(count)]


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What happened from a reset to the end; T steps."""

    observations: NDArray[np.float64]
    """T + 1 of them: the last one is where the episode ended."""
    actions: NDArray[np.float64]
    rewards: NDArray[np.float64]
    terminated: bool
    """Whether the task ended it; otherwise the limit did."""


_WORLDS = {
    "pendulum": World(name="pendulum", environment="Pendulum-v1", limit=200, low=(-2.0,), high=(2.0,)),
    "swimmer": World(name="swimmer", environment="Swimmer-v5", limit=500, low=(-1.0, -1.0), high=(1.0, 1.0)),
}
NAMES = tuple(_WORLDS)
"""Tasks that are known."""


def world(name: str) -> World:
    """A task by its name.

    Args:
        name: one of `NAMES`.

    Returns:
        The task.

    Raises:
        UnknownName: no such task.
    """
    if name not in _WORLDS:
        raise unknown_name("offline task", name, NAMES)
    return _WORLDS[name]


def play(task: World, controllers: Sequence[Controller], key: int) -> list[Episode]:
    """Play one episode with each controller, step by step beside each other.

    Args:
        task: what is played.
        controllers: one per episode; neighbours that are the same one choose their actions in one call.
        key: decides the first states; an episode's depends on its place only.

    Returns:
        The episodes, in order.

    Raises:
        MissingExtra: gymnasium, or the simulator, is not installed.
    """
    environments = task.open(len(controllers))
    seeds = [keys.seed_of(keys.fold(key, "episode", place)) for place in range(len(controllers))]
    first = [one.reset(seed=seed)[0] for one, seed in zip(environments, seeds, strict=True)]
    tracks = [_Track(environment=one, seen=[begin]) for one, begin in zip(environments, first, strict=True)]
    while going := [place for place, one in enumerate(tracks) if not one.over]:
        for group in _runs(going, controllers):
            states = torch.from_numpy(np.stack([tracks[place].seen[-1] for place in group]).astype(np.float32))
            chosen = controllers[group[0]].act(states).numpy().astype(np.float64)
            for place, action in zip(group, chosen, strict=True):
                tracks[place].step(np.clip(action, task.low, task.high))
    return [one.episode() for one in tracks]


def filmed(task: World, controller: Controller, key: int, count: int = 6) -> list[dict[str, Any]]:
    """Play the first episode of `play` again and take pictures.

    Args:
        task: what is played.
        controller: chooses the actions.
        key: as `play` was given it.
        count: pictures, evenly chosen; the last one is of the end.

    Returns:
        For each `png`, see `milepost.images.png.text`, and `told`: the step, its reward and the sum of rewards so far.

    Raises:
        MissingExtra: gymnasium, the simulator, or what draws it is not installed.
    """
    (environment,) = task.open(1, render_mode="rgb_array")
    track = _Track(
        environment=environment, seen=[environment.reset(seed=keys.seed_of(keys.fold(key, "episode", 0)))[0]]
    )
    wanted, frames = {round(task.limit * place / count) for place in range(1, count + 1)}, list[dict[str, Any]]()
    for step in range(1, task.limit + 1):
        state = torch.from_numpy(track.seen[-1].astype(np.float32))[None]
        action = controller.act(state).numpy().astype(np.float64)[0]
        track.step(np.clip(action, task.low, task.high), close=False)
        if step in wanted or track.terminated:
            told = [f"step {step}", f"reward {track.rewards[-1]:.2f}", f"return {sum(track.rewards):.1f}"]
            frames.append({"png": png.text(picture(environment)), "told": told})
        if track.over:
            break
    environment.close()
    return frames


def _runs(places: Sequence[int], controllers: Sequence[Controller]) -> list[list[int]]:
    groups: list[list[int]] = []
    for place in places:
        if groups and controllers[groups[-1][-1]] is controllers[place]:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


class _Track:
    """An episode that is being played."""

    def __init__(self, *, environment: Any, seen: list[Any]) -> None:
        self.environment, self.seen = environment, seen
        self.actions, self.rewards = list[NDArray[np.float64]](), list[float]()
        self.over, self.terminated = False, False

    def step(self, action: NDArray[np.float64], *, close: bool = True) -> None:
        after, reward, terminated, truncated, _ = self.environment.step(action.astype(np.float32))
        self.seen.append(after)
        self.actions.append(action)
        self.rewards.append(float(reward))
        self.terminated, self.over = bool(terminated), bool(terminated or truncated)
        if self.over and close:
            self.environment.close()

    def episode(self) -> Episode:
        return Episode(
            observations=np.stack(self.seen).astype(np.float64),
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards),
            terminated=self.terminated,
        )


def forest_of(task: World, episodes: Sequence[Episode]) -> Forest:
    """Put episodes into a forest: a root with the first observation, then one row per step.

    Args:
        task: what was played.
        episodes: what happened.

    Returns:
        With `observation`, `action`, `reward.outcome`, `end`, `discount` and structure columns.
    """
    parent, end, discount = list[int](), list[int](), list[float]()
    for one in episodes:
        start, steps = len(parent), len(one.rewards)
        parent += [-1, *range(start, start + steps)]
        last = End.TERMINATED if one.terminated else End.TIME_LIMIT
        end += [int(End.OPEN)] * steps + [int(last)]
        discount += [1.0] * steps + [0.0 if one.terminated else 1.0]
    moved = torch.tensor(parent) >= 0
    columns = {
        "task": [None if move else task.name for move in moved.tolist()],
        "origin": torch.where(moved, int(Origin.POLICY), int(Origin.ENVIRONMENT)),
        "observation": _stacked([one.observations for one in episodes]),
        "action": _stacked([np.concatenate((np.zeros_like(one.actions[:1]), one.actions)) for one in episodes]),
        "end": end,
        "discount": discount,
        "ok.outcome": moved,
        "reward.outcome": _stacked([np.concatenate(([0.0], one.rewards)) for one in episodes]),
    }
    return Forest.of(parent, columns).with_valid("action", moved).with_valid("reward.outcome", moved)


def _stacked(parts: Sequence[NDArray[np.float64]]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def returns_of(episodes: Sequence[Episode]) -> Float[Tensor, " m"]:
    """Sum of rewards of each episode.

    Args:
        episodes: what happened.

    Returns:
        One number per episode, in reward units.
    """
    return torch.tensor([float(one.rewards.sum()) for one in episodes])
