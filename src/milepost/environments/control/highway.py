"""A highway of highway-env: where the car is, how fast, how near to the others, and when its route is done."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from milepost import checks
from milepost.environments.control.branching import Node
from milepost.environments.control.gym import Gymnasium
from milepost.part import Action, Start, Task, Transition

SPEEDS_M_S = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
"""Speeds that the car can be told to hold."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """How far there is to go, and how long it may take."""

    speed_m_s: float = 25.0
    """Speed at which the route takes just the whole time."""
    seconds: int = 40

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("speed_m_s", self.speed_m_s)
        checks.at_least("seconds", self.seconds, 1)

    @property
    def metres(self) -> float:
        """Length of the route."""
        return self.speed_m_s * self.seconds


@dataclass(frozen=True, kw_only=True)
class Highway:
    """A route on a straight highway among other cars; implements `part.TaskEnvironment`.

    Every second the car changes lanes, or is told one of seven speeds up or down, from standing to 30 m/s. An episode
    ends with a crash, off the road, or where the route is done; after the given time it is cut off. Beside the payoff
    of highway-env's own reward each row has `extra.travelled_m`, `extra.speed_m_s`, `extra.lateral_m` (from the middle
    of the lane), `extra.collision_s` (time to a collision with the car ahead, at most 100), `extra.crashed`,
    `extra.off_road`, and of the task `extra.route_m` and `extra.route_steps`, the seconds it may take.

    Source: CaRL on highway-env, the mapping of this package.

    Example:
        >>> Highway(train_size=1).route.metres
        1000.0
    """

    route: Route = field(default_factory=Route)
    vehicles: int = 10
    """Other cars."""
    lanes: int = 3
    train_size: int = 256
    held_out_size: int = 16
    keep_every: int = 0
    """As for `Gymnasium`."""
    stop = ()
    embedded = "actor"

    def __post_init__(self) -> None:
        """Check the sizes."""
        checks.at_least("vehicles", self.vehicles, 0)
        checks.at_least("lanes", self.lanes, 1)

    @cached_property
    def simulated(self) -> Gymnasium:
        """The environment below."""
        config = {
            "action": {"type": "DiscreteMetaAction", "target_speeds": list(SPEEDS_M_S)},
            "vehicles_count": self.vehicles,
            "lanes_count": self.lanes,
            "duration": self.route.seconds,
            "offroad_terminal": True,
        }
        return Gymnasium(
            name="highway-fast-v0",
            options={"config": config},
            train_size=self.train_size,
            held_out_size=self.held_out_size,
            keep_every=self.keep_every,
        )

    def train(self) -> Sequence[Task]:
        """The training pool."""
        return self.simulated.train()

    def held_out(self) -> Sequence[Task]:
        """The evaluation pool: other traffic."""
        return self.simulated.held_out()

    def reset(self, task: Task, key: int) -> Start:
        """Begin on the road."""
        start = self.simulated.reset(task, key)
        start.state.baseline = float(_env(start.state).vehicle.position[0])
        return start

    def step(self, state: Node, action: Action, key: int) -> Transition:
        """Drive for a second."""
        world = self.simulated
        node, answer = world.stable.go(state, action.array, key)
        route = {"route_m": self.route.metres, "route_steps": float(self.route.seconds)}
        found = {**facts(_env(node), node.baseline), **route}
        done = not (found["crashed"] or found["off_road"]) and found["travelled_m"] >= self.route.metres
        return world.answered(node, answer, found, done=done)


def _env(node: Node) -> Any:
    """The simulated road at a state that was just arrived at."""
    return cast("Any", node.simulator).env.unwrapped


def facts(env: Any, start_m: float) -> Mapping[str, float]:
    """What is the case on the road.

    Args:
        env: of highway-env.
        start_m: where the car began, in metres along the road.

    Returns:
        Numbers by name, in the units of their names; the time to a collision assumes that both cars hold their speed.
    """
    car = env.vehicle
    _, lateral = car.lane.local_coordinates(car.position)
    ahead, _ = env.road.neighbour_vehicles(car)
    collision = 100.0
    if ahead is not None:
        gap = float(ahead.position[0] - car.position[0]) - (ahead.LENGTH + car.LENGTH) / 2
        closing = float(car.velocity[0] - ahead.velocity[0])
        if closing > 0:
            collision = min(max(gap, 0.0) / closing, 100.0)
    return {
        "travelled_m": float(car.position[0]) - start_m,
        "speed_m_s": math.hypot(*(float(part) for part in car.velocity)),
        "lateral_m": abs(float(lateral)),
        "collision_s": collision,
        "crashed": float(bool(car.crashed)),
        "off_road": float(not car.on_road),
    }
