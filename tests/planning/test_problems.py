"""Problems: what is allowed one by one equals what is allowed all at once, and by hand."""

import math

import numpy as np
import pytest
import torch

from milepost import keys
from milepost.errors import SettingError, UnknownName
from milepost.planning import collision
from milepost.planning.problems import NAMES, Problem, motions_free, problem, states_free

KEY = keys.fold(keys.root(2), "problems")


def states(task, count, purpose="states"):
    stream = keys.generator(keys.fold(KEY, task.name, purpose))
    return torch.from_numpy(
        stream.uniform(np.array(task.low) * 1.05, np.array(task.high) * 1.05, (count, task.dimension))
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_by_one_equals_all_at_once(name):
    task, world = problem(name), problem(name).world()
    given = states(task, 2000)
    assert [collision.free(world, one) for one in given.numpy()] == states_free(task, given).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_motions(name):
    """For an arm both look at the same states; among boxes the single check is exact, so it may only refuse more."""
    task, world = problem(name), problem(name).world()
    begins, ends = states(task, 1500), states(task, 1500, "ends")
    ends = begins + 0.2 * (ends - begins)
    fine = states_free(task, begins) & states_free(task, ends)
    begins, ends = begins[fine], ends[fine]
    exact = torch.tensor(
        [collision.motion_free(world, a, b) for a, b in zip(begins.numpy(), ends.numpy(), strict=True)]
    )
    coarse = motions_free(task, begins, ends)
    assert not bool((exact & ~coarse).any())
    assert float((exact == coarse).double().mean()) > 0.97
    if task.links:
        assert torch.equal(exact, coarse)


def test_an_arm_by_hand():
    arm = Problem(
        name="two", low=(-3.2, -3.2), high=(3.2, 3.2), start=(math.pi, 0), goal=(0, math.pi), links=(1.0, 1.0),
        discs=((1.5, 0.0, 0.2),),
    )  # fmt: skip
    given = torch.tensor([[0.0, 0.0], [0.2, 0.0], [math.pi / 2, 0.0], [math.pi / 2, -math.pi / 2]]).double()
    # straight out over the disc; its end passes above it by 1.5 sin 0.2 = 0.298; straight up; up, then out at height 1
    assert states_free(arm, given).tolist() == [False, True, True, True]


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_the_same_each_time(name):
    task = problem(name)
    assert task == problem(name)
    assert task.dimension == (6 if name.startswith("arm") else 2)
    assert task.least < task.diagonal


@pytest.mark.parametrize(
    "change",
    [
        {"start": (0.5, 0.5)}, {"goal": (2, 2)}, {"goal": (0.9,)}, {"high": (0, 1)}, {"spacing": 0},
        {"links": (1.0, 1.0)}, {"boxes": (((0.1,), (0.2,)),)}, {"low": (), "high": (), "start": (), "goal": ()},
    ],
)  # fmt: skip
def test_what_is_refused(change):
    fine = {
        "name": "x", "low": (0, 0), "high": (1, 1), "start": (0.1, 0.1), "goal": (0.9, 0.9),
        "boxes": (((0.4, 0.4), (0.6, 0.6)),),
    }  # fmt: skip
    assert Problem(**fine).dimension == 2
    with pytest.raises(SettingError):
        Problem(**{**fine, **change})
    with pytest.raises(UnknownName, match="Did you mean 'gap'"):
        problem("gab")


def test_no_motions():
    assert motions_free(problem("gap"), torch.zeros(0, 2), torch.zeros(0, 2)).tolist() == []
