"""Behaviour worth recording: it is mixed, it gets better, and it follows from the key."""

import pytest
import torch

from milepost import keys
from milepost.environments.offline import behaviours
from milepost.environments.offline.behaviours import Arena, Linear, Recorder, SwingUp
from milepost.environments.offline.worlds import World, play, returns_of, world
from milepost.errors import SettingError, UnknownName
from milepost.images import png
from milepost.traces.moves import moves_of, returns

KEY = keys.root(0)


def test_the_rule_swings_up_and_chance_does_not():
    found = returns_of(play(world("pendulum"), [SwingUp(mix=0.0, key=KEY)] * 6, KEY))
    drawn = Arena().returns("pendulum", None, 6, KEY)
    assert float(found.mean()) > -300
    assert float(drawn.mean()) < -800


def test_recorded_episodes_are_mixed():
    forest = Recorder(episodes=12)("pendulum", KEY)
    total = returns(moves_of(forest))
    assert len(total) == 12
    assert float(total.max() - total.min()) > 300


def test_generations_get_better(monkeypatch):
    short = World(name="swimmer", environment="Swimmer-v5", limit=60, low=(-1.0, -1.0), high=(1.0, 1.0))
    monkeypatch.setattr(behaviours, "world", lambda name: short)
    forest = Recorder(episodes=40, population=10)("swimmer", KEY)
    total = returns(moves_of(forest))
    assert len(total) == 40
    assert float(total[30:].mean()) > float(total[:10].mean())
    assert float(moves_of(forest).action.abs().max()) <= 1


def test_a_linear_rule_by_hand():
    one = torch.ones(1)
    rule = Linear(torch.tensor([[2.0, 0.0]]), 0.5 * one, -one, one)
    assert rule.act(torch.tensor([[0.1, 5.0], [-3.0, 0.0]])).tolist() == [[pytest.approx(0.7)], [-1.0]]


def test_what_is_refused():
    with pytest.raises(UnknownName):
        Recorder()("nowhere", KEY)
    with pytest.raises(SettingError, match="mix"):
        SwingUp(mix=2.0, key=KEY)
    assert Arena().bounds("pendulum") == ((-2.0,), (2.0,))


@pytest.mark.parametrize("task", ["pendulum", "swimmer"])
def test_the_film_is_of_the_first_episode(task):
    low, high = Arena().bounds(task)
    weight = torch.full((len(low), 3 if task == "pendulum" else 8), 0.2)
    rule = Linear(weight, torch.zeros(len(low)), *map(torch.tensor, (low, high)))
    frames = Arena().film(task, rule, KEY)
    assert len(frames) == 6
    assert frames[-1]["told"][0] == f"step {world(task).limit}"
    assert float(frames[-1]["told"][2].removeprefix("return ")) == pytest.approx(
        float(Arena().returns(task, rule, 2, KEY)[0]), abs=0.06
    )
    assert len({one["png"] for one in frames}) == 6
    assert png.size(frames[0]["png"])[0] > 100
