"""Episodes of Meta-World: they follow from the key, the expert solves its task, and success does not end them."""

import numpy as np
import pytest
import torch

from milepost import keys
from milepost.environments.manipulation.arm import SIZE, LinearStage, expert, linear, played
from milepost.errors import UnknownName
from milepost.images import png

KEY = keys.root(0)


def test_the_expert_succeeds_and_the_episode_goes_on():
    found = played("drawer-close", expert("drawer-close"), 110, KEY)
    assert found.done
    assert len(found.success) == len(found.dense) == len(found.seen) == 110
    assert found.seen.shape[1] == 39


def test_the_key_decides_the_places():
    rest = torch.zeros(SIZE)
    first, again, other = (LinearStage(steps=3)("reach", rest, key) for key in (KEY, KEY, keys.root(1)))
    assert torch.equal(first.seen, again.seen)
    assert not torch.equal(first.seen[:, 36:39], other.seen[:, 36:39])


def test_a_linear_rule_by_hand():
    numbers = torch.zeros(SIZE)
    numbers[0], numbers[4], numbers[8], numbers[9] = 1.0, 0.5, 0.2, 100.0
    seen = np.zeros(39)
    seen[4:7], seen[36:39] = (0.1, 0.0, 0.0), (0.0, 0.2, 0.0)
    assert linear(numbers)(seen, 0) == pytest.approx([1.0, 1.0, 0.2, 1.0])


def test_names():
    with pytest.raises(UnknownName, match="Did you mean 'reach'"):
        played("reech", linear(torch.zeros(SIZE)), 1, KEY)


def test_the_film_is_of_the_same_episode():
    rest = torch.zeros(SIZE)
    stage = LinearStage(steps=6)
    frames = stage.film("drawer-close", rest, KEY)
    assert [one["told"][0] for one in frames] == [f"step {number}" for number in range(1, 7)]
    lift = stage("drawer-close", rest, KEY)
    assert [one["told"][1] for one in frames] == [f"reward {float(value):.2f}" for value in lift.dense]
    assert png.size(frames[0]["png"]) == (160, 120)
