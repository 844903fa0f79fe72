"""A control environment with rewards of ours, as a `gymnasium.Env` that any learner of Gymnasium's can be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from milepost import checks, keys, optional
from milepost.columns import End
from milepost.environments.control.spaces import Actions
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Action, Reward, State, Task, TaskEnvironment


class Sized(Protocol):
    """What the environment shows and takes."""

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        ...

    @property
    def actions(self) -> Actions:
        """What can be done."""
        ...


def rewarded(environment: TaskEnvironment, shape: Sized, rewards: Mapping[Reward, float], *, key: int = 0) -> Any:
    """Present a control environment with rewards of ours as a `gymnasium.Env`.

    Each `reset` begins the next task of the training pool; a seed says which one is next. A step's reward is the
    weighted sum of the rewards of steps, computed on the path since the start, exactly as in our own loop. `info` holds
    the columns of the step. Termination and truncation stay apart.

    Args:
        environment: answers actions.
        shape: of its observations and actions, such as `environments.control.by_name.surveyed(environment)`.
        rewards: rewards of steps, and the weight of each.
        key: decides what is drawn on the way.

    Returns:
        A `gymnasium.Env`.

    Raises:
        SettingError: no reward, or one that looks at whole trajectories.
        MissingExtra: gymnasium is not installed.

    Example:
        >>> from milepost.environments.control.gym import Gymnasium
        >>> from milepost.rewards.control.episodes import Payoff
        >>> world = Gymnasium(name="CartPole-v1")
        >>> env = rewarded(world, world, {Payoff(largest=0.5): 1.0})
        >>> observation, info = env.reset()
        >>> env.step(0)[1]
        0.5
    """
    checks.not_empty("rewards", rewards)
    late = [reward.name for reward in rewards if reward.when != "step"]
    if late:
        raise SettingError(f"{late[0]!r} is a reward of whole trajectories: a learner of single steps cannot use it.")
    gymnasium = optional.load("gymnasium", extra="control", purpose="The Gymnasium interface")
    tasks, spaces, actions = environment.train(), gymnasium.spaces, shape.actions

    class Rewarded(gymnasium.Env):
        """One task after the other."""

        metadata: Mapping[str, Any] = {"render_modes": []}
        observation_space = spaces.Box(-np.inf, np.inf, (shape.size,), np.float32)
        action_space = _action_space(spaces, actions)
        begun = 0

        def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, Any]:  # noqa: ARG002
            """Begin the next task."""
            super().reset(seed=seed)
            self.begun = self.begun if seed is None else seed
            task: Task = tasks[self.begun % len(tasks)]
            self.key = keys.fold(key, "episode", self.begun)
            self.begun += 1
            start = environment.reset(task, self.key)
            self.state: State = start.state
            self.rows: list[Mapping[str, Any]] = [{}]
            return start.observation.array, {"task": task.id}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, Mapping[str, Any]]:
            """Act, and be paid by our rewards."""
            went = environment.step(self.state, Action(array=action), keys.fold(self.key, "step", len(self.rows)))
            self.state = went.state
            self.rows.append({**went.columns, "end": int(went.end), "discount": went.discount})
            ended, stopped = went.end == End.TERMINATED, went.end not in (End.OPEN, End.TERMINATED)
            shown = went.observation.array if went.observation is not None else None
            return shown, paid(self.rows, rewards), ended, stopped, dict(went.columns)

    return Rewarded()


def _action_space(spaces: Any, actions: Actions) -> Any:
    if actions.count:
        return spaces.Discrete(actions.count)
    return spaces.Box(np.array(actions.low, dtype=np.float32), np.array(actions.high, dtype=np.float32))


def paid(rows: Sequence[Mapping[str, Any]], rewards: Mapping[Reward, float]) -> float:
    """Weighted sum of the rewards of the last step of a path.

        paid = sum over rewards of weight * reward(path)_last

    Args:
        rows: columns of every step, the start first.
        rewards: rewards of steps, and the weight of each.

    Returns:
        Reward units; a reward that cannot be had counts 0.

    Source: milepost: the same parts, on the path alone.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    path = Forest.of(list(range(-1, len(rows) - 1)), columns)
    last = torch.tensor([len(rows) - 1])
    found = [(weight, reward(path, last)) for reward, weight in rewards.items()]
    return sum(weight * float(scores.values[0]) for weight, scores in found if bool(scores.ok[0]))
