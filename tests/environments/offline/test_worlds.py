"""Episodes of real tasks: played in step, stored with their true last observation, ends kept apart."""

import numpy as np
import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.environments.offline.behaviours import Chance
from milepost.environments.offline.worlds import Episode, World, forest_of, play, returns_of, world
from milepost.errors import UnknownName

KEY = keys.root(0)
SHORT = World(name="pendulum", environment="Pendulum-v1", limit=8, low=(-2.0,), high=(2.0,))


def chance(key=KEY):
    return Chance(low=SHORT.low, high=SHORT.high, key=key)


def test_the_stored_numbers_obey_the_dynamics():
    """Gymnasium's pendulum: w' = clip(w + (1.5 g sin(theta) + 3 u) dt, -8, 8)."""
    (one,) = play(SHORT, [chance()], KEY)
    forest = forest_of(SHORT, [one])
    state, after = forest["observation"][:-1], forest["observation"][1:]
    push = 15 * torch.atan2(state[:, 1], state[:, 0]).sin() + 3 * forest["action"][1:, 0]
    torch.testing.assert_close(after[:, 2], (state[:, 2] + 0.05 * push).clamp(-8, 8), atol=1e-4, rtol=1e-4)
    assert forest["end"].tolist() == [0] * 8 + [int(End.TIME_LIMIT)]
    assert (forest["discount"] == 1).all()
    assert float(forest["reward.outcome"].sum()) == pytest.approx(float(returns_of([one])), rel=1e-5)


def test_episodes_do_not_depend_on_their_neighbours():
    both = play(SHORT, [chance(), chance(keys.root(5))], KEY)
    (alone,) = play(SHORT, [chance()], KEY)
    np.testing.assert_array_equal(both[0].observations, alone.observations)
    shared = chance()
    together = play(SHORT, [shared, shared], KEY)
    assert not np.array_equal(together[0].actions, together[1].actions)


def test_an_end_is_no_limit():
    one = Episode(observations=np.zeros((2, 3)), actions=np.zeros((1, 1)), rewards=np.ones(1), terminated=True)
    forest = forest_of(SHORT, [one])
    assert forest["end"].tolist() == [0, int(End.TERMINATED)]
    assert forest["discount"].tolist() == [1, 0]


def test_names():
    assert world("swimmer").open(1)[0].action_space.low.tolist() == list(world("swimmer").low)
    with pytest.raises(UnknownName, match="Did you mean 'pendulum'"):
        world("pendulun")
