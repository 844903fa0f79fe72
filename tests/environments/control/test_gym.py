"""Episodes as tasks: ends apart, last observations stored, and branching samplers on top."""

import numpy as np
import pytest
import torch

from milepost import keys
from milepost.columns import End
from milepost.environments.control.gym import Gymnasium
from milepost.errors import SettingError
from milepost.part import Action, Extension
from milepost.policies.actor import loading
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.independent import Independent

KEY = keys.root(4)


def grown(world, sampler, tasks=3, key=KEY):
    actor = loading.load(world, streams=1, key=keys.root(0))
    return grow(
        [Draw(task=task) for task in world.train()[:tasks]], policy=actor, environment=world, sampler=sampler, key=key
    )


def test_termination_and_truncation_stay_apart():
    """CartPole falls over; Pendulum never ends and is cut off at 200 steps."""
    for name, end, discount in (("CartPole-v1", End.TERMINATED, 0.0), ("Pendulum-v1", End.TIME_LIMIT, 1.0)):
        forest = grown(Gymnasium(name=name), Independent(width=2))
        leaves = forest.leaves()
        assert set(forest["end"][leaves].tolist()) == {int(end)}
        assert set(forest["discount"][leaves].tolist()) == {discount}
        inner = (forest.parent >= 0).clone()
        inner[leaves] = False
        assert bool((forest["end"][inner] == int(End.OPEN)).all())
    assert set(forest.depth()[leaves].tolist()) == {200}


def test_the_true_last_observation_is_stored():
    """The state that fell over, not the first one of the next episode: beyond 12 degrees, or 2.4 units off."""
    forest = grown(Gymnasium(name="CartPole-v1"), Independent(width=4))
    last = forest["observation"][forest.leaves()]
    assert bool(((last[:, 2].abs() > 0.2095) | (last[:, 0].abs() > 2.4)).all())
    before = forest["observation"][forest.parent[forest.leaves()]]
    assert bool((before[:, 2].abs() <= 0.2095).all())


def test_a_task_is_a_start_and_siblings_share_it():
    world = Gymnasium(name="CartPole-v1")
    forest = grown(world, Independent(width=3), tasks=2)
    roots = forest["observation"][forest.roots()]
    assert not torch.equal(roots[0], roots[1])
    again = grown(world, Independent(width=3), tasks=2)
    assert torch.equal(forest["observation"], again["observation"])
    other = grown(world, Independent(width=3), tasks=2, key=keys.root(9))
    assert torch.equal(other["observation"][other.roots()], roots)


def test_a_trajectory_does_not_depend_on_its_neighbours():
    world = Gymnasium(name="CartPole-v1")
    both, alone = grown(world, Independent(width=2), tasks=2), grown(world, Independent(width=2), tasks=1)
    rows = both.subtree(0)
    assert torch.equal(both["action"][rows], alone["action"])


@pytest.mark.parametrize("keep_every", [0, 8])
def test_a_branching_sampler_works_on_a_simulator(keep_every):
    """Branches share their trunk, and every path is what its actions give in a simulator of its own."""
    world = Gymnasium(name="HalfCheetah-v5", options={}, keep_every=keep_every)
    actor = loading.load(world, streams=1, key=keys.root(0))
    forest = grow([Draw(task=world.train()[0])], policy=actor, environment=world, sampler=Forks(), key=KEY)
    assert len(forest.leaves()) == 4
    for leaf in forest.leaves().tolist():
        path = forest.path(leaf).tolist()
        simulator = world.make()
        simulator.reset(world.train()[0].record["seed"])
        for row in path[1:]:
            key = keys.fold(int(forest["key"][row]), "environment")
            answer = simulator.step(forest["action"][row].numpy(), key)
            assert answer.observation.tobytes() == forest["observation"][row].numpy().tobytes()
            assert answer.payoff == pytest.approx(float(forest["extra.payoff"][row]), rel=1e-6)


class Forks:
    """Two children at depths 0 and 5, ten steps in all."""

    def init(self, forest, key):
        return 0

    def ask(self, forest, state):
        if state == 10:
            return None
        rows = forest.open_rows() if state else forest.roots()
        return Extension(rows=rows, counts=torch.full_like(rows, 2 if state in (0, 5) else 1))

    def tell(self, forest, rows, state):
        return state + 1


def test_success_is_what_the_simulator_says_its_threshold_or_a_paid_end():
    world = Gymnasium(name="CartPole-v1")
    state, stream = world.reset(world.train()[0], 0).state, 0
    while True:
        found = world.step(state, Action(array=np.int64(stream % 2)), stream)
        state, stream = found.state, stream + 1
        if found.end != End.OPEN:
            break
    assert found.columns["extra.success"] == 0.0, "far from the 475 that are asked for"
    grid = Gymnasium(name="MiniGrid-Empty-5x5-v0")
    state = grid.reset(grid.train()[0], 0).state
    for place, action in enumerate((2, 2, 1, 2, 2)):
        found = grid.step(state, Action(array=np.int64(action)), place)
        state = found.state
    assert found.end == End.TERMINATED
    assert found.columns["extra.success"] == 1.0


def test_layouts_and_pools():
    world = Gymnasium(name="CartPole-v1", train_size=5, held_out_size=3)
    seeds = {task.record["seed"] for task in [*world.train(), *world.held_out()]}
    assert len(seeds) == 8, "held-out starts are others"
    fixed = Gymnasium(name="CartPole-v1", layouts=2, train_size=5, held_out_size=3)
    assert {task.record["seed"] for task in [*fixed.train(), *fixed.held_out()]} == {1_000_000, 1_000_001}
    assert len({task.id for task in [*fixed.train(), *fixed.held_out()]}) == 8


def test_a_survey_repeats_itself_and_crosses_episodes():
    world = Gymnasium(name="CartPole-v1")
    found = world.survey(100, 1)
    assert found.shape == (100, 4)
    assert np.array_equal(found, world.survey(100, 1))
    assert not np.array_equal(found, world.survey(100, 2))


def test_an_environment_that_does_not_exist():
    with pytest.raises(SettingError, match="cannot make 'CartPole-v77'"):
        Gymnasium(name="CartPole-v77").make()


def test_an_environment_of_ones_own_is_named_by_its_module(tmp_path, monkeypatch):
    text = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
gymnasium.register("OwnCart-v0", entry_point=CartPoleEnv, max_episode_steps=7)
"""
    (tmp_path / "own_carts.py").write_text(text)
    with pytest.raises(SettingError, match=r"'own_carts'.*cannot be imported.*PYTHONPATH"):
        Gymnasium(name="own_carts:OwnCart-v0").make()
    monkeypatch.syspath_prepend(tmp_path)
    world = Gymnasium(name="own_carts:OwnCart-v0")
    assert (world.limit, world.actions.count) == (7, 2)
    with pytest.raises(SettingError, match="registers no environment 'OwnBoat-v0'"):
        Gymnasium(name="own_carts:OwnBoat-v0").make()


def test_the_whole_of_a_grid_can_be_shown():
    part, whole = (Gymnasium(name="MiniGrid-Empty-5x5-v0", options=options) for options in ({}, {"observe": "full"}))
    assert part.size == 7 * 7 * 3 + 4
    assert whole.size == 5 * 5 * 3 + 4
