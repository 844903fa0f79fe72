"""Any Gymnasium environment with numbers as tasks: what a control policy acts in."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milepost import checks, keys, optional
from milepost.columns import End
from milepost.environments.control.branching import Node, Stable
from milepost.environments.control.simulator import Answer, Simulator
from milepost.environments.control.spaces import Actions
from milepost.errors import SettingError
from milepost.part import Action, Observation, Start, Task, Transition

EXTRAS: Mapping[str, tuple[str, str]] = {
    "MiniGrid": ("minigrid", "control"),
    "BabyAI": ("minigrid", "control"),
    "PointMaze": ("gymnasium_robotics", "robotics"),
    "AntMaze": ("gymnasium_robotics", "robotics"),
    "Fetch": ("gymnasium_robotics", "robotics"),
    "highway": ("highway_env", "driving"),
    "Meta-World": ("metaworld", "metaworld"),
}
"""First words of environment names, the module that registers them, and the extra that installs it."""
_DISTINCT = 1_000_000
_HELD_OUT = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Gymnasium:
    """Episodes of a Gymnasium environment; implements `part.TaskEnvironment`.

    Termination and truncation stay apart: `end` is TERMINATED and `discount` 0 where the simulator ended of its own,
    TIME_LIMIT and 1 where a limit did. The last observation is stored. Every row below a root has `extra.payoff`, the
    simulator's own reward, and at the end of an episode `extra.success`.

    A task is a seed: it decides what is drawn at the start. What is drawn on the way comes from the key of the step.

    Example:
        >>> world = Gymnasium(name="CartPole-v1", train_size=2)
        >>> world.actions.count, world.size
        (2, 4)
        >>> world.train()[0].id
        'CartPole-v1:1000000'
    """

    name: str
    """Such as "CartPole-v1", or "my_module:MyTask-v0" for one that a module of yours registers."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keyword arguments of `gymnasium.make`; "observe": "full" shows all of a MiniGrid world."""
    layouts: int = 0
    """Number of different starts; 0: every task has its own."""
    train_size: int = 64
    held_out_size: int = 16
    keep_every: int = 0
    """Steps between snapshots for branching samplers; 0 repeats the actions from the start."""
    stop = ()
    embedded = "actor"

    def __post_init__(self) -> None:
        """Check the sizes."""
        checks.at_least("layouts", self.layouts, 0)
        checks.at_least("train_size", self.train_size, 1)
        checks.at_least("held_out_size", self.held_out_size, 0)
        checks.at_least("keep_every", self.keep_every, 0)

    # ---- tasks ----

    def train(self) -> Sequence[Task]:
        """The training pool."""
        return [self._task("", _DISTINCT, number) for number in range(self.train_size)]

    def held_out(self) -> Sequence[Task]:
        """The evaluation pool: other starts, or the same ones where `layouts` says that there are no others."""
        return [self._task("held-out:", _HELD_OUT, number) for number in range(self.held_out_size)]

    def _task(self, pool: str, first: int, number: int) -> Task:
        seed = _DISTINCT + number % self.layouts if self.layouts else first + number
        record = {"environment": self.name, "seed": seed, "number": number, "prompt": f"{self.name}, start {seed}"}
        known = f"{self.name}:{pool}{seed}" if not self.layouts else f"{self.name}:{pool}{seed}:{number}"
        return Task(id=known, record=record, family=self.name)

    # ---- what it is ----

    @cached_property
    def stable(self) -> Stable:
        """The simulators."""
        return Stable(make=self.make, keep_every=self.keep_every)

    @cached_property
    def _probe(self) -> Simulator:
        return self.make()

    @cached_property
    def _size(self) -> int:
        return len(self._probe.reset(0).observation)

    @property
    def size(self) -> int:
        """Numbers in an observation."""
        return self._size

    @property
    def actions(self) -> Actions:
        """What can be done."""
        return self._probe.actions

    @cached_property
    def _spec(self) -> Any:
        return _loaded(self.name).spec(_id_of(self.name))

    @property
    def limit(self) -> int:
        """Steps after which Gymnasium ends an episode; 0: it does not."""
        return int(self._spec.max_episode_steps or 0)

    def make(self) -> Simulator:
        """Make a simulator.

        Returns:
            A fresh one, without Gymnasium's own time limit around it.

        Raises:
            MissingExtra: a package that it needs is not installed.
            SettingError: Gymnasium knows no such environment.
        """
        gymnasium = _loaded(self.name)
        given = dict(self.options)
        observe = given.pop("observe", "")
        if self.name.startswith("Meta-World"):
            given.setdefault("seed", 0)  # else every simulator has goals of its own
        if observe == "full":
            given.setdefault(
                "agent_view_size", 3
            )  # the partial view is computed all the same, and its size is its price
        try:
            env = gymnasium.make(_id_of(self.name), disable_env_checker=True, max_episode_steps=-1, **given)
        except gymnasium.error.Error as error:
            raise SettingError(f"Gymnasium cannot make {self.name!r} with {given}: {error}.") from error
        if observe == "full":
            wrappers = optional.load("minigrid.wrappers", extra="control", purpose="A view of the whole world")
            env = wrappers.FullyObsWrapper(env)
        return Simulator(env=env)

    # ---- episodes ----

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - the start is the task's, its steps draw from keys
        """Begin the episode that the task's seed decides."""
        node, answer = self.stable.begin(int(task.record["seed"]))
        return Start(observation=Observation(array=answer.observation), state=node)

    def step(self, state: Node, action: Action, key: int) -> Transition:
        """Act in a state."""
        node, answer = self.stable.go(state, action.array, key)
        return self.answered(node, answer, {}, done=None)

    def answered(self, node: Node, answer: Answer, facts: Mapping[str, float], *, done: bool | None) -> Transition:
        """A transition, from what a simulator said.

        Args:
            node: the state arrived at.
            answer: what was said there.
            facts: further columns, without their prefix.
            done: whether the task is done, which ends the episode; None: the simulator says.

        Returns:
            The transition; at its end the simulator is free for another episode.
        """
        ended = answer.terminated or bool(done)
        late = answer.truncated or (self.limit > 0 and node.depth >= self.limit)
        columns = {"extra.payoff": answer.payoff, **{f"extra.{name}": value for name, value in facts.items()}}
        if ended or late:
            self.stable.release(node)
            columns["extra.success"] = float(self._succeeded(node, answer) if done is None else done)
        return Transition(
            observation=Observation(array=answer.observation),
            state=node,
            end=End.TERMINATED if ended else End.TIME_LIMIT if late else End.OPEN,
            discount=0.0 if ended else 1.0,
            columns=columns,
        )

    def _succeeded(self, node: Node, answer: Answer) -> bool:
        """The simulator says so, or the payoffs reach its threshold, or, where it has none, the end was paid for."""
        for name in ("success", "is_success"):
            if name in answer.info:
                return bool(answer.info[name])
        wanted = self._spec.reward_threshold
        return answer.terminated and answer.payoff > 0 if wanted is None else node.earned >= wanted

    def survey(self, steps: int, key: int) -> NDArray[np.float32]:
        """Observations of random actions, from which networks take the scale of their input.

        Args:
            steps: how many.
            key: decides the actions.

        Returns:
            One observation per row.
        """
        stream, rows = keys.generator(keys.fold(key, "survey")), list[NDArray[np.float32]]()
        simulator, actions = self.make(), self.actions
        answer, age = simulator.reset(0), 0
        while len(rows) < steps:
            drawn = stream.integers(actions.count) if actions.count else stream.uniform(actions.low, actions.high)
            rows.append(answer.observation)
            over = answer.terminated or answer.truncated or (self.limit and age >= self.limit)
            answer = simulator.reset(len(rows)) if over else simulator.step(drawn, int(stream.integers(2**62)))
            age = 0 if over else age + 1
        simulator.close()
        return np.stack(rows)


def _id_of(name: str) -> str:
    return name.rpartition(":")[2]


def _loaded(name: str) -> Any:
    """Gymnasium, knowing the environments of that family, or those of the module before a colon."""
    gymnasium = optional.load("gymnasium", extra="control", purpose="A Gymnasium environment")
    module = name.rpartition(":")[0]
    if module:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise SettingError(
                f"Module {module!r} of the environment {name!r} cannot be imported: {type(error).__name__}: {error}."
                " Install it, or put PYTHONPATH=. before the command if it lies in this folder."
            ) from error
        if _id_of(name) not in gymnasium.registry:
            raise SettingError(f"The module {module!r} registers no environment {_id_of(name)!r} with Gymnasium.")
    for word, (module, extra) in EXTRAS.items():
        if name.startswith(word):
            gymnasium.register_envs(optional.load(module, extra=extra, purpose=f"The environment {name!r}"))
    return gymnasium
