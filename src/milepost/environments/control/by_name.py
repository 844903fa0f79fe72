"""Which control environment a task's name asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.highway import Highway, Route
from milepost.errors import unknown_name

Control: TypeAlias = Gymnasium | Highway
HIGHWAY = "highway"
MAZE = "maze"
HIGHWAY_OPTIONS = ("vehicles", "lanes", "seconds", "speed_m_s", "keep_every")
GYMNASIUM_OPTIONS = ("make", "layouts", "keep_every")
_ID = re.compile(r"(Meta-World/|.*-v\d+$)")


def is_control(name: str) -> bool:
    """Whether a task is one of control: "highway", "maze", or the name of a Gymnasium environment."""
    return name in (HIGHWAY, MAZE) or _ID.match(name) is not None


def control(name: str, options: Mapping[str, Any], *, train_size: int, held_out_size: int) -> Control:
    """Build a control environment.

    Args:
        name: as `is_control` knows it; "maze" is MiniGrid's FourRooms, all of it seen, with one start by default.
        options: for the highway "vehicles", "lanes", "seconds" and "speed_m_s" of the route; else "make" (arguments of
            `gymnasium.make`, also "observe") and "layouts"; for both "keep_every".
        train_size: tasks in the training pool.
        held_out_size: tasks in the held-out pool.

    Returns:
        The environment.

    Raises:
        UnknownName: no such option.
        SettingError: Gymnasium knows no such environment.
        MissingExtra: a package that it needs is not installed.
    """
    known = HIGHWAY_OPTIONS if name == HIGHWAY else GYMNASIUM_OPTIONS
    for option in options:
        if option not in known:
            raise unknown_name(f"option of task {name!r}", option, known)
    given = dict(options)
    sizes = {"train_size": train_size, "held_out_size": held_out_size}
    if name == HIGHWAY:
        route = {key: given.pop(key) for key in ("seconds", "speed_m_s") if key in given}
        return Highway(route=Route(**route), **given, **sizes)
    made = given.pop("make", {})
    if name == MAZE:
        name, made, given = "MiniGrid-FourRooms-v0", {"observe": "full", **made}, {"layouts": 1, **given}
    return Gymnasium(name=name, options=made, **given, **sizes)


def surveyed(environment: object) -> Gymnasium | None:
    """The Gymnasium environment of a control task: the one with a size, actions and a survey; None for other tasks."""
    if isinstance(environment, Highway):
        return environment.simulated
    return environment if isinstance(environment, Gymnasium) else None
