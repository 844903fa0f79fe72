"""Snapshots of simulators: 60 further steps after a restore are those without it, to the bit. Naive copies fail."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest

from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.simulator import Simulator

WORLDS = [
    ("CartPole-v1", {}),
    ("Pendulum-v1", {}),
    ("FrozenLake-v1", {}),
    ("MiniGrid-DoorKey-6x6-v0", {}),
    ("HalfCheetah-v5", {}),
    ("Ant-v5", {"terminate_when_unhealthy": False}),
    ("PointMaze_UMaze-v3", {}),
    ("FetchReach-v4", {}),
    ("Meta-World/MT1", {"env_name": "reach-v3"}),
    ("Meta-World/MT1", {"env_name": "drawer-close-v3"}),  # a reset of these moves bodies of the model
    ("Meta-World/MT1", {"env_name": "window-open-v3"}),
    ("Meta-World/MT1", {"env_name": "button-press-v3"}),
]


def draws(world, count):
    stream, actions = np.random.default_rng(3), world.actions
    return [
        stream.integers(actions.count) if actions.count else stream.uniform(actions.low, actions.high)
        for _ in range(count)
    ]


def go(simulator, actions, first):
    """What is shown and paid, until the episode ends."""
    found = []
    for place, action in enumerate(actions):
        answer = simulator.step(action, first + place)
        found.append((answer.observation.tobytes(), answer.payoff))
        if answer.terminated or answer.truncated:
            break
    return found


@pytest.mark.parametrize(("name", "options"), WORLDS)
def test_a_snapshot_is_exact_also_in_a_fresh_simulator_and_in_one_of_another_task(name, options):
    world = Gymnasium(name=name, options=options)
    actions = draws(world, 66)
    simulator, other = world.make(), world.make()
    simulator.reset(5)
    go(simulator, actions[:6], 0)
    kept = simulator.snapshot()
    assert kept is not None
    straight = go(simulator, actions[6:], 6)
    simulator.restore(kept)
    assert go(simulator, actions[6:], 6) == straight
    other.restore(kept)
    assert go(other, actions[6:], 6) == straight
    other.reset(9)
    go(other, actions[:3], 90)
    other.restore(kept)
    assert go(other, actions[6:], 6) == straight


def test_the_naive_way_to_branch_physics_is_wrong():
    """`mj_setState` without a forward pass leaves stale positions, and Ant's reward reads them."""
    env = gym.make("Ant-v5", terminate_when_unhealthy=False, disable_env_checker=True)
    env.reset(seed=0)
    inner, kind = env.unwrapped, mujoco.mjtState.mjSTATE_INTEGRATION
    size = mujoco.mj_stateSize(inner.model, kind)
    state, action = np.zeros(size), np.full(8, 0.5)
    for _ in range(20):
        env.step(action)
    mujoco.mj_getState(inner.model, inner.data, state, kind)
    right = env.step(action)[1]
    for _ in range(20):
        env.step(-action)
    mujoco.mj_setState(inner.model, inner.data, state, kind)
    assert abs(env.step(action)[1] - right) > 0.1


def test_what_is_drawn_on_the_way_comes_from_the_key():
    """A slippery lake: the same key slips the same way, other keys do not all."""
    world = Gymnasium(name="FrozenLake-v1")
    simulator = world.make()
    simulator.reset(0)
    kept, seen = simulator.snapshot(), []
    for key in (1, 1, 2, 3, 4, 5, 6, 7):
        simulator.restore(kept)
        seen.append(simulator.step(2, key).observation.argmax())
    assert seen[0] == seen[1]
    assert len(set(seen)) > 1


class Uncopied(gym.Env):
    action_space = observation_space = gym.spaces.Discrete(2)

    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a window")


def test_what_cannot_be_copied_has_no_snapshot():
    assert Simulator(env=Uncopied()).snapshot() is None
