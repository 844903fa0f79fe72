"""Meta-World's tasks as episodes: what was seen, what was done, the environment's own reward, and success."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import keys, optional
from milepost.environments.control.filming import TABLE, picture
from milepost.environments.manipulation.cards import sentence
from milepost.images import png

Rule: TypeAlias = Callable[[Any, int], Any]
"""Observation and number of the step to an action of 4 numbers."""
SIZE = 10
"""Numbers of a rule: for each axis the pull to the object, the pull on to the goal and an offset; the gripper."""


@dataclass(frozen=True, kw_only=True)
class Lift:
    """An episode of t steps; it is never cut off at a success, so that lasting there pays."""

    seen: Float[Tensor, "t o"]
    """Observation arrived at."""
    taken: Float[Tensor, "t a"]
    dense: Float[Tensor, " t"]
    """The environment's own dense reward."""
    success: Bool[Tensor, " t"]

    @property
    def done(self) -> bool:
        """Whether the task was solved at any time."""
        return bool(self.success.any())


@lru_cache(maxsize=16)
def _environment(task: str) -> Any:
    sentence(task)
    listed: Any = optional.load("metaworld.env_dict", extra="metaworld", purpose=f"The task {task!r}")
    made = listed.ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[f"{task}-v3-goal-observable"](seed=0)
    made._freeze_rand_vec = False  # noqa: SLF001 - else every reset has the same places
    made.seeded_rand_vec = True  # else they come from NumPy's global stream
    return made


def played(
    task: str, rule: Rule, steps: int, key: int, watch: Callable[[int, Any, Mapping[str, Any]], None] | None = None
) -> Lift:
    """Play an episode.

    Args:
        task: one of `cards.NAMES`.
        rule: chooses the actions; they are cut off at -1 and 1.
        steps: length, at most 500.
        key: decides the places of things.
        watch: called after each step with its number from 1, the environment and what it said beside the reward.

    Returns:
        The episode.

    Raises:
        UnknownName: no such task.
        MissingExtra: metaworld is not installed.
    """
    environment = _environment(task)
    environment.seed(keys.seed_of(key))
    seen, _ = environment.reset(seed=keys.seed_of(key))
    rows: list[Any] = []
    taken: list[Any] = []
    rewards: list[float] = []
    success: list[bool] = []
    for step in range(steps):
        action = np.clip(rule(seen, step), -1, 1).astype(np.float64)
        seen, reward, _, _, info = environment.step(action)
        rows.append(seen)
        taken.append(action)
        rewards.append(float(reward))
        success.append(float(info["success"]) > 0)
        if watch is not None:
            watch(step + 1, environment, info)
    return Lift(
        seen=torch.from_numpy(np.stack(rows)).float(),
        taken=torch.from_numpy(np.stack(taken)).float(),
        dense=torch.tensor(rewards),
        success=torch.tensor(success),
    )


def expert(task: str) -> Rule:
    """Meta-World's scripted expert.

    Args:
        task: one of `cards.NAMES`.

    Returns:
        The rule.

    Raises:
        UnknownName: no such task.
        MissingExtra: metaworld is not installed.
    """
    sentence(task)
    policies: Any = optional.load("metaworld.policies", extra="metaworld", purpose="Scripted experts")
    script = policies.ENV_POLICY_MAP[f"{task}-v3"]()

    def rule(seen: Any, step: int) -> Any:  # noqa: ARG001
        with warnings.catch_warnings():  # it says that its actions are cut off, which they are
            warnings.simplefilter("ignore", UserWarning)
            return script.get_action(seen)

    return rule


def linear(numbers: Float[Tensor, " d"]) -> Rule:
    """A linear rule over where things are, axis by axis.

        a_k = clip(10 (p_k (object - hand)_k + q_k (goal - object)_k + r_k / 10), -1, 1),   a_grip = tanh(w)

    Args:
        numbers: `SIZE` of them: p, q, r for three axes, then w.

    Returns:
        The rule.
    """
    pull, push, offset = (10 * numbers[start : start + 3].double().numpy() for start in (0, 3, 6))
    grip = float(torch.tanh(numbers[9]))

    def rule(seen: Any, step: int) -> Any:  # noqa: ARG001
        hand, thing, goal = seen[0:3], seen[4:7], seen[36:39]
        return np.concatenate((pull * (thing - hand) + push * (goal - thing) + offset / 10, (grip,)))

    return rule


@dataclass(frozen=True, kw_only=True)
class LinearStage:
    """Plays with linear rules. Implements `evaluation.written.experiment.Stage`."""

    steps: int = 100

    @property
    def size(self) -> int:
        """Numbers of a rule."""
        return SIZE

    def __call__(self, task: str, setting: Float[Tensor, " d"], key: int) -> Lift:
        """Play one episode."""
        return played(task, linear(setting), self.steps, key)

    def film(self, task: str, setting: Float[Tensor, " d"], key: int) -> list[dict[str, Any]]:
        """Six frames of the same episode, evenly chosen, with the environment's own reward and success."""
        wanted = {round(self.steps * place / 6) for place in range(1, 7)}
        frames: list[dict[str, Any]] = []

        def watch(step: int, environment: Any, info: Mapping[str, Any]) -> None:
            if step in wanted:
                told = [f"step {step}", f"reward {float(info['unscaled_reward']):.2f}"]
                told += ["success"] if float(info["success"]) > 0 else []
                frames.append({"png": png.text(picture(environment, TABLE)), "told": told})

        played(task, linear(setting), self.steps, key, watch)
        return frames
