"""Observations as vectors, actions as the simulator takes them."""

import gymnasium as gym
import numpy as np
import pytest

from milepost.environments.control.spaces import Actions, actions_of, executed, flat
from milepost.errors import SettingError


def test_a_dictionary_is_flattened_by_name_and_text_is_left_out():
    space = gym.spaces.Dict(
        b=gym.spaces.Box(-1, 1, (2,)),
        a=gym.spaces.Discrete(3, start=1),
        said=gym.spaces.Text(5),
        c=gym.spaces.Tuple(()),
    )
    found = flat(space, {"a": 2, "b": np.array([0.5, -0.5]), "said": "hey", "c": ()})
    assert found.tolist() == [0, 1, 0, 0.5, -0.5]
    assert found.dtype == np.float32


def test_nothing_but_text_is_an_empty_vector():
    assert flat(gym.spaces.Text(5), "hey").shape == (0,)


def test_actions():
    assert actions_of(gym.spaces.Discrete(4)) == Actions(count=4)
    assert actions_of(gym.spaces.Box(-2, 3, (1,))) == Actions(low=(-2.0,), high=(3.0,))
    with pytest.raises(SettingError, match="expected Discrete, or a Box"):
        actions_of(gym.spaces.Box(-np.inf, np.inf, (1,)))


def test_actions_beyond_a_bound_are_set_to_it():
    box = actions_of(gym.spaces.Box(-1, 1, (2, 1)))
    assert executed(np.array([5.0, -0.5]), box, (2, 1)).tolist() == [[1.0], [-0.5]]
    assert executed(np.int64(3), Actions(count=4), ()) == 3
