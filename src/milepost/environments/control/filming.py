"""Pictures of a stored episode: its actions are repeated, and what they show must be what was shown before."""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milepost.environments.control import silhouettes
from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.silhouettes import Camera
from milepost.environments.control.simulator import Answer, Simulator, physics
from milepost.errors import MilepostError, MissingExtra

TABLE = Camera(azimuth=145.0, elevation=-35.0, around=(0.0, 0.62, 0.15), reach=0.46)
"""From where the table of Meta-World's arm is seen."""
HIGHEST, WIDEST = 128, 256
"""Pixels of a picture; larger ones are made smaller by a whole number."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """An episode of t steps, as a forest stores it."""

    seed: int
    """Of its start."""
    actions: Sequence[Any]
    keys: Sequence[int]
    """Randomness of each step."""
    shown: NDArray[np.float32]
    """Observations, t + 1 of them."""


def film(world: Gymnasium, played: Played, wanted: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Repeat an episode and take pictures.

    MuJoCo's scenes are drawn by `silhouettes`, all others by the environment itself ("rgb_array").

    Args:
        world: the environment that it was played in.
        played: the episode.
        wanted: steps at which a picture is taken, rising; 0 is the start.

    Returns:
        Red, green and blue, shape (height, width, 3), one per entry of `wanted`.

    Raises:
        MilepostError: the environment shows something else than what is stored, or cannot be drawn.
        MissingExtra: a package that draws is not installed.
    """
    simulator, found = _opened(world), list[NDArray[np.uint8]]()
    camera = TABLE if world.name.startswith("Meta-World") else None
    try:
        answer = simulator.reset(played.seed)
        for step in range(wanted[-1] + 1 if wanted else 0):
            if step:
                answer = simulator.step(played.actions[step - 1], played.keys[step - 1])
            _same(world, step, answer, played.shown[step])
            if step in wanted:
                found.append(picture(simulator.env, camera))
    finally:
        simulator.close()
    return found


def picture(env: Any, camera: Camera | None = None) -> NDArray[np.uint8]:
    """A picture of a simulator as it stands.

    Args:
        env: a `gymnasium.Env`; without MuJoCo's physics it must have been made with `render_mode="rgb_array"`.
        camera: from where physics are looked at; by default everything is shown.

    Returns:
        Red, green and blue, shape (height, width, 3), at most `HIGHEST` and `WIDEST`.

    Raises:
        MilepostError: the environment has no picture of itself.
        MissingExtra: a package that draws is not installed.
    """
    place = physics(env)
    if place is not None:
        return silhouettes.drawn(place.model, place.data, camera)
    errors: Any = importlib.import_module("gymnasium.error")
    try:
        with _without_screen():
            image = np.asarray(env.render())
    except errors.DependencyNotInstalled as error:
        raise MissingExtra(f"Pictures of {env.spec.id} need a package that is not installed: {error}.") from error
    except RuntimeError as error:  # such as pygame.error: SDL was built without that driver
        raise MilepostError(f"{env.spec.id} cannot be drawn: {type(error).__name__}: {error}.") from error
    if image.ndim != 3 or image.dtype != np.uint8:
        raise MilepostError(f"{env.spec.id} draws no picture of itself: render() gave {image.dtype} {image.shape}.")
    return smaller(image)


@contextmanager
def _without_screen() -> Generator[None]:
    """The library that draws opens no window, and does not complain that there is no screen.

    SDL's driver "dummy" would do for most, but highway-env reads that word as an order to draw nothing: all is black.
    """
    name = "SDL_VIDEODRIVER"
    known = os.environ.get(name)
    os.environ[name] = "offscreen"
    try:
        yield
    finally:
        os.environ.pop(name)
        if known is not None:
            os.environ[name] = known


def smaller(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image made smaller by a whole number, so that it is at most `HIGHEST` and `WIDEST`.

        s = ceil(max(height / HIGHEST, width / WIDEST));   each pixel is the mean of s x s

    Args:
        image: shape (height, width, 3).

    Returns:
        The image; rows and columns beyond a multiple of s are cut off.

    Source: milepost.
    """
    height, width = image.shape[:2]
    by = max(1, math.ceil(max(height / HIGHEST, width / WIDEST)))
    cut = image[: height // by * by, : width // by * by].reshape(height // by, by, width // by, by, 3)
    return np.round(cut.mean((1, 3))).astype(np.uint8)


def _opened(world: Gymnasium) -> Simulator:
    simulator = world.make()
    if physics(simulator.env) is not None:
        return simulator
    if "rgb_array" not in simulator.env.metadata.get("render_modes", ()):
        raise MilepostError(f"{world.name} draws no pictures of itself: it has no render mode 'rgb_array'.")
    simulator.close()
    return dataclasses.replace(world, options={**world.options, "render_mode": "rgb_array"}).make()


def _same(world: Gymnasium, step: int, answer: Answer, shown: NDArray[np.float32]) -> None:
    if not np.array_equal(answer.observation, shown):
        raise MilepostError(
            f"Step {step} of a stored episode of {world.name} shows something else when it is repeated: it is another "
            "version of the environment, or one that draws from anything but its seed and the key of a step."
        )
