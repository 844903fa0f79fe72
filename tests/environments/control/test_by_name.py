"""Names of control tasks and their options."""

import pytest

from milepost.environments.control.by_name import control, is_control, surveyed
from milepost.environments.control.gym import Gymnasium
from milepost.environments.control.highway import Highway
from milepost.environments.denoising import Denoising
from milepost.errors import UnknownName


def test_names():
    assert [is_control(name) for name in ("CartPole-v1", "Meta-World/MT1", "highway", "maze")] == [True] * 4
    assert not any(is_control(name) for name in ("chain_sum", "digits", "search_2hop", "arc_1d"))


def test_options():
    world = control("highway", {"vehicles": 4, "seconds": 9}, train_size=2, held_out_size=1)
    assert isinstance(world, Highway)
    assert (world.vehicles, world.route.seconds) == (4, 9)
    given = {"make": {"observe": "full"}, "layouts": 1}
    world = control("MiniGrid-Empty-5x5-v0", given, train_size=2, held_out_size=1)
    assert world == Gymnasium(
        name="MiniGrid-Empty-5x5-v0", options={"observe": "full"}, layouts=1, train_size=2, held_out_size=1
    )
    maze = control("maze", {}, train_size=2, held_out_size=1)
    assert isinstance(maze, Gymnasium)
    assert (maze.name, maze.layouts, maze.size) == ("MiniGrid-FourRooms-v0", 1, 19 * 19 * 3 + 4)
    with pytest.raises(UnknownName, match="layouts"):
        control("CartPole-v1", {"layout": 1}, train_size=1, held_out_size=1)


def test_what_can_be_surveyed():
    assert surveyed(Highway()) is not None
    assert surveyed(Gymnasium(name="CartPole-v1")) is not None
    assert surveyed(Denoising()) is None
