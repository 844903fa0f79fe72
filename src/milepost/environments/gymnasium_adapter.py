"""Any environment with text as a `gymnasium.Env`, for users of Gymnasium's interface."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from milepost import checks, keys, optional
from milepost.columns import End
from milepost.part import Action, Environment, Observation, State, Task, Transition

CHARACTERS = string.printable
"""Characters of actions and observations; any other is shown as "?"."""

Score: TypeAlias = Callable[[Task, Transition], float]
"""Reward of a transition, given the task."""


def as_gymnasium(
    environment: Environment, tasks: Sequence[Task], score: Score, *, characters: int = 4096, key: int = 0
) -> Any:
    """Present an environment as a `gymnasium.Env` with text spaces.

    `reset` begins a task: `options={"task": n}` names one, else it is drawn. `step` takes text and returns what is
    shown ("" where nothing is), the score, whether the environment ended the trajectory, and whether a limit did.
    `info` holds the id of the task, the name of the end, and the columns of the step. `snapshot()` returns the state
    and `restore(state)` goes back to it, at any time.

    Args:
        environment: answers actions with text.
        tasks: what can be begun.
        score: reward of a transition.
        characters: longest text; what is longer is cut.
        key: mixed into the randomness that Gymnasium's seed determines.

    Returns:
        A `gymnasium.Env`.

    Raises:
        SettingError: no tasks, or no room for a character.
        MissingExtra: gymnasium is not installed.

    Example:
        >>> from milepost.environments.search.environment import Search
        >>> world = Search(train_size=3)
        >>> game = as_gymnasium(world, world.train(), lambda task, transition: 0.0)
        >>> shown, info = game.reset(options={"task": 0})
        >>> shown == world.train()[0].record["prompt"]
        True
        >>> game.step("<answer>Lima</answer>")[2]
        True
    """
    checks.not_empty("tasks", tasks)
    checks.at_least("characters", characters, 1)
    gymnasium = optional.load("gymnasium", extra="control", purpose="The Gymnasium interface")

    class TextGame(gymnasium.Env):
        """The environment, one task at a time."""

        metadata: Mapping[str, Any] = {"render_modes": []}
        observation_space = action_space = gymnasium.spaces.Text(characters, min_length=0, charset=CHARACTERS)

        def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, Any]:
            """Begin a task."""
            super().reset(seed=seed)
            drawn = int(self.np_random.integers(len(tasks)))  # also where a task is named: the keys stay the same
            self.task, self.steps = tasks[int((options or {}).get("task", drawn))], 0
            self.key = keys.fold(key, "gymnasium", int(self.np_random.integers(2**31)))
            begun = environment.reset(self.task, self.key)
            self.state = begun.state
            return _shown(begun.observation, characters), {"task": self.task.id, "end": End.OPEN.name}

        def step(self, action: str) -> tuple[str, float, bool, bool, Mapping[str, Any]]:
            """Take an action."""
            went = environment.step(self.state, Action(text=action), keys.fold(self.key, "step", self.steps))
            self.state, self.steps = went.state, self.steps + 1
            info = {"task": self.task.id, "end": went.end.name, **went.columns}
            ended, stopped = went.end == End.TERMINATED, went.end not in (End.OPEN, End.TERMINATED)
            return _shown(went.observation, characters), float(score(self.task, went)), ended, stopped, info

        def snapshot(self) -> tuple[Task, int, int, State]:
            """Return everything that the next step depends on."""
            return self.task, self.key, self.steps, self.state

        def restore(self, kept: tuple[Task, int, int, State]) -> None:
            """Go back to where `snapshot` was taken."""
            self.task, self.key, self.steps, self.state = kept

    return TextGame()


def _shown(observation: Observation | None, most: int) -> str:
    text = "" if observation is None else observation.text or ""
    known = set(CHARACTERS)
    return "".join(one if one in known else "?" for one in text[:most])
