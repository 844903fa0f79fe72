"""The highway: facts of the road, ends, and that standing is possible."""

import numpy as np

from milepost import keys
from milepost.columns import End
from milepost.environments.control.highway import SPEEDS_M_S, Highway, Route
from milepost.part import Action

SLOWER, FASTER, IDLE = 4, 3, 1


def drive(world, actions, task=0):
    state, found = world.reset(world.train()[task], 0).state, []
    for place, action in enumerate(actions):
        found.append(world.step(state, Action(array=np.int64(action)), keys.fold(1, place)))
        state = found[-1].state
        if found[-1].end != End.OPEN:
            break
    return found


def test_braking_ends_standing_after_the_whole_time():
    world = Highway(route=Route(seconds=12), vehicles=3)
    steps = drive(world, [SLOWER] * 30)
    assert len(steps) == 12
    assert steps[-1].end == End.TIME_LIMIT
    assert steps[-1].discount == 1.0
    assert steps[-1].columns["extra.speed_m_s"] < 1
    assert steps[-1].columns["extra.success"] == 0.0
    travelled = [step.columns["extra.travelled_m"] for step in steps]
    assert travelled == sorted(travelled)
    assert all(step.columns["extra.payoff"] > 0.4 for step in steps), "highway-env pays for standing still"


def test_a_short_route_is_done_and_a_crash_is_no_success():
    steps = drive(Highway(route=Route(seconds=10, speed_m_s=8.0), vehicles=0), [IDLE] * 20)
    assert steps[-1].end == End.TERMINATED
    assert steps[-1].discount == 0.0
    assert steps[-1].columns["extra.success"] == 1.0
    assert steps[-1].columns["extra.travelled_m"] >= 80 > steps[-2].columns["extra.travelled_m"]
    assert {(one.columns["extra.route_m"], one.columns["extra.route_steps"]) for one in steps} == {(80.0, 10.0)}
    for task in range(4):
        steps = drive(Highway(vehicles=10), [FASTER] * 40, task)
        if steps[-1].columns["extra.crashed"]:
            break
    assert steps[-1].end == End.TERMINATED
    assert steps[-1].columns["extra.success"] == 0.0
    assert min(step.columns["extra.collision_s"] for step in steps) < 3


def test_sizes():
    world = Highway()
    assert world.simulated.size == 25
    assert world.simulated.actions.count == 5
    assert SPEEDS_M_S[0] == 0
    assert len(world.train()) == 256
