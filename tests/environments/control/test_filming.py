"""Pictures of stored episodes: the same episode again, or none."""

import dataclasses

import numpy as np
import pytest

from milepost import keys
from milepost.environments.control import filming
from milepost.environments.control.filming import Played
from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.simulator import Simulator
from milepost.errors import MilepostError, MissingExtra

STEPS = 6


def played(world):
    """Six random actions from a start, as they would be stored."""
    simulator, stream = world.make(), np.random.default_rng(0)
    shown = [simulator.reset(7).observation]
    low, count = world.actions.low, world.actions.count
    drawn = [stream.integers(count) if count else stream.uniform(-1, 1, len(low)) for _ in range(STEPS)]
    steps = [keys.fold(1, "step", number) for number in range(STEPS)]
    shown += [simulator.step(action, key).observation for action, key in zip(drawn, steps, strict=True)]
    return Played(seed=7, actions=drawn, keys=steps, shown=np.stack(shown))


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("CartPole-v1", {}, (100, 150, 3)),
        ("MiniGrid-Empty-5x5-v0", {"observe": "full"}, (80, 80, 3)),
        ("Swimmer-v5", {}, (120, 160, 3)),
        ("highway-fast-v0", {"config": {"vehicles_count": 3}}, (50, 200, 3)),
    ],
)
def test_the_same_episode_gives_the_same_pictures(name, options, shape):
    world = Gymnasium(name=name, options=options)
    episode = played(world)
    taken = filming.film(world, episode, (0, 3, STEPS))
    assert [one.shape for one in taken] == [shape] * 3
    assert all(one.dtype == np.uint8 and one.std() > 1 for one in taken)
    assert not np.array_equal(taken[0], taken[2])
    assert np.array_equal(taken[1], filming.film(world, episode, (3,))[0])


def test_another_episode_gives_none():
    world = Gymnasium(name="CartPole-v1")
    episode = played(world)
    other = dataclasses.replace(episode, actions=[1 - action for action in episode.actions])
    with pytest.raises(MilepostError, match="Step 1 of a stored episode"):
        filming.film(world, other, (0, STEPS))
    assert len(filming.film(world, other, (0,))) == 1  # what was not repeated is not held against it
    with pytest.raises(MilepostError, match="Step 0"):
        filming.film(world, dataclasses.replace(episode, seed=8), (0,))


def test_smaller_by_hand():
    image = np.zeros((256, 4, 3), dtype=np.uint8)
    image[:2, :2] = 8
    found = filming.smaller(image)
    assert found.shape == (128, 2, 3)
    assert found[0, 0].tolist() == [8, 8, 8]
    assert found[0, 1].tolist() == [0, 0, 0]
    assert np.array_equal(filming.smaller(found), found)
    assert filming.smaller(np.zeros((257, 10, 3), dtype=np.uint8)).shape == (85, 3, 3)


class Bare:
    """An environment that draws nothing, or needs what is not there."""

    def __init__(self, fault):
        self.fault, self.unwrapped, self.metadata = fault, self, {}
        self.spec = type("Spec", (), {"id": "Bare-v0"})

    def render(self):
        if self.fault is not None:
            raise self.fault

    def close(self):
        pass


def test_what_cannot_be_drawn_says_why(monkeypatch):
    from gymnasium.error import DependencyNotInstalled

    with pytest.raises(MilepostError, match="draws no picture of itself"):
        filming.picture(Bare(None))
    with pytest.raises(MissingExtra, match="pygame"):
        filming.picture(Bare(DependencyNotInstalled("pygame")))
    with pytest.raises(MilepostError, match="Bare-v0 cannot be drawn: RuntimeError: no driver"):
        filming.picture(Bare(RuntimeError("no driver")))
    world = Gymnasium(name="CartPole-v1")
    episode = played(world)
    monkeypatch.setattr(Gymnasium, "make", lambda self: Simulator(env=Bare(None)))
    with pytest.raises(MilepostError, match="no render mode"):
        filming.film(world, episode, (0,))
