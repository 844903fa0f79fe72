"""One Gymnasium simulator: steps whose randomness comes from a key, snapshots where they are exact."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from milepost import keys
from milepost.environments.control.spaces import Actions, actions_of, executed, flat

_MOVED = ("body_", "site_", "geom_", "jnt_", "dof_", "eq_", "tendon_", "actuator_", "cam_", "light_", "qpos")
"""First words of the arrays of MuJoCo's model that a reset may write; meshes and textures are not among them."""
_PLAIN = (bool, int, float, str, np.ndarray, np.random.Generator, type(None))


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What a simulator said after a reset or a step."""

    observation: NDArray[np.float32]
    payoff: float = 0.0
    """The simulator's own reward."""
    terminated: bool = False
    """It came to an end of its own: nothing follows."""
    truncated: bool = False
    """A limit of its own ended it: something would have followed."""
    info: Mapping[str, Any]

    def digest(self) -> bytes:
        """Eight bytes that differ where the observation or the payoff does."""
        held = hashlib.blake2b(self.observation.tobytes(), digest_size=8)
        held.update(np.float64(self.payoff).tobytes())
        return held.digest()


@dataclass(kw_only=True, eq=False)
class Simulator:
    """A simulator in progress. It changes with every step: `branching` hides that."""

    env: Any
    """A `gymnasium.Env` without a time limit of its own around it."""
    begun: bool = False
    """Whether it was ever reset: some environments are complete only then."""

    @property
    def actions(self) -> Actions:
        """What can be done."""
        return actions_of(self.env.action_space)

    def reset(self, seed: int) -> Answer:
        """Begin; everything that is drawn at the start comes from the seed."""
        self.env.unwrapped.np_random = keys.generator(keys.fold(seed, "start"))  # wrappers may draw before the reset
        self.begun = True
        observation, info = self.env.reset(seed=seed)
        return Answer(observation=flat(self.env.observation_space, observation), info=info)

    def step(self, action: Any, key: int) -> Answer:
        """Act; everything that is drawn on the way comes from the key, so that siblings differ and replays do not."""
        self.env.unwrapped.np_random = keys.generator(key)
        taken = executed(action, self.actions, getattr(self.env.action_space, "shape", ()))
        observation, payoff, terminated, truncated, info = self.env.step(taken)
        return Answer(
            observation=flat(self.env.observation_space, observation),
            payoff=float(payoff),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=cast("Mapping[str, Any]", info),
        )

    def snapshot(self) -> Any:
        """A copy of everything that the next step depends on; None where the simulator cannot be copied exactly."""
        if physics(self.env) is not None:
            return _Physics.of(self.env)
        try:
            return copy.deepcopy(self.env)
        except (TypeError, NotImplementedError):  # a window, a socket, a compiled object: such a state is replayed
            return None

    def restore(self, kept: Any) -> None:
        """Go back to where `snapshot` was taken; the snapshot can be used again."""
        if isinstance(kept, _Physics):
            if not self.begun:
                self.reset(0)
            kept.put(self.env)
        else:
            self.env = copy.deepcopy(kept)

    def close(self) -> None:
        """Let go of what the simulator holds."""
        self.env.close()


def physics(env: Any) -> Any:
    """The object that holds MuJoCo's `data`: the environment or the one inside it; None without physics."""
    inner = env.unwrapped
    for place in (inner, getattr(inner, "point_env", None), getattr(inner, "ant_env", None)):
        if place is not None and "data" in vars(place) and "model" in vars(place):
            return place
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Physics:
    """State of a MuJoCo simulator: a copy of its data, the plain values of the objects around it, and its scene.

    `mj_setState` alone leaves stale positions behind, with which rewards are wrong; a copy of the data does not. The
    model is not constant either: a reset of Meta-World moves its drawers, windows and buttons there.
    """

    data: Any
    scene: Mapping[str, NDArray[Any]]
    """Numbers of the model: where bodies are and what they are like."""
    plain: tuple[Mapping[str, Any], ...]
    """Numbers, arrays and generators of every layer, from the outermost wrapper in."""

    @staticmethod
    def of(env: Any) -> _Physics:
        place = physics(env)
        scene = {name: array.copy() for name, array in _scene(place.model).items()}
        return _Physics(data=copy.copy(place.data), scene=scene, plain=tuple(_plain(one) for one in _layers(env)))

    def put(self, env: Any) -> None:
        place = physics(env)
        place.data = copy.copy(self.data)
        for name, array in _scene(place.model).items():
            array[...] = self.scene[name]
        for layer, values in zip(_layers(env), self.plain, strict=True):
            vars(layer).update(copy.deepcopy(dict(values)))
        for layer in _layers(env):  # goals and renderers that hold the data by reference
            if layer is not place and "data" in vars(layer):
                layer.data = place.data


def _scene(model: Any) -> Mapping[str, NDArray[Any]]:
    """The arrays of a model that may be written, by name; they are views of it."""
    found = {name: getattr(model, name) for name in dir(type(model)) if name.startswith(_MOVED)}
    return {name: one for name, one in found.items() if isinstance(one, np.ndarray)}


def _layers(env: Any) -> list[Any]:
    found = [env]
    while hasattr(found[-1], "env"):
        found.append(found[-1].env)
    inner = found[-1]
    return [*found, *(vars(inner)[name] for name in ("point_env", "ant_env") if name in vars(inner))]


def _plain(layer: Any) -> Mapping[str, Any]:
    return {name: copy.deepcopy(value) for name, value in vars(layer).items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(isinstance(one, _PLAIN) for one in cast("list[Any]", value))
    return isinstance(value, (*_PLAIN, np.generic))
