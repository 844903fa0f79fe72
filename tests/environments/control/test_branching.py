"""States of simulators can be stepped from many times; what does not repeat itself is found out."""

import gymnasium as gym
import numpy as np
import pytest

from milepost.environments.control.branching import Stable
from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.simulator import Simulator
from milepost.errors import MilepostError


def tour(stable, node, actions, first=0):
    found = []
    for place, action in enumerate(actions):
        node, answer = stable.go(node, action, first + place)
        found.append((answer.observation.tobytes(), answer.payoff))
    return node, found


@pytest.mark.parametrize("keep_every", [0, 1, 4])
def test_branches_repeat_the_trunk_and_do_not_disturb_it(keep_every):
    stable = Stable(make=Gymnasium(name="Acrobot-v1").make, keep_every=keep_every)
    root, _ = stable.begin(3)
    middle, _ = tour(stable, root, [0, 2, 0, 2, 1, 0])
    _, straight = tour(stable, middle, [2, 2, 0, 1], 6)
    _, aside = tour(stable, middle, [0, 0, 0, 0], 6)
    _, again = tour(stable, middle, [2, 2, 0, 1], 6)
    assert again == straight != aside
    assert stable.replayed == 2 * {0: 6, 1: 0, 4: 2}[keep_every]


def test_a_simulator_is_used_again():
    made = []

    def make():
        made.append(Gymnasium(name="CartPole-v1").make())
        return made[-1]

    stable = Stable(make=make, keep_every=0)
    for seed in range(3):
        node, _ = stable.begin(seed)
        node, _ = stable.go(node, 1, 0)
        stable.release(node)
    assert len(made) == 1
    stable.close()
    assert stable.idle == []


class Clock(gym.Env):
    """Counts the steps of all its life: neither seed nor key decides what it shows."""

    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, np.inf, (1,))

    def __init__(self):
        self.time = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.full(1, self.time, np.float32), 0.0, False, False, {}


def test_a_simulator_that_does_not_repeat_itself_is_refused():
    clock = Clock()
    stable = Stable(make=lambda: Simulator(env=clock), keep_every=0)
    node, _ = stable.begin(0)
    middle, _ = tour(stable, node, [0, 1])
    tour(stable, middle, [0])
    with pytest.raises(MilepostError, match="what it showed there differs"):
        tour(stable, middle, [0])
