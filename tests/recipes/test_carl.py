"""CaRL on the highway: which driver each reward ranks first, and that the recipe learns from what it says."""

from pathlib import Path

import numpy as np
import torch

from milepost import keys
from milepost.columns import End
from milepost.environments.control.highway import Highway
from milepost.forest import Forest
from milepost.part import Action
from milepost.recipes import carl
from milepost.rewards.control.driving import Completed, Infraction, Progress
from milepost.rewards.control.episodes import Earned, Payoff
from milepost.testing.recipes import check_recipe

LEFT, IDLE, RIGHT, FASTER, SLOWER = range(5)
DRIVERS = {"brake": SLOWER, "keep": IDLE, "accelerate": FASTER}
STARTS = 4


def drive(world, task, action):
    """One episode of a driver who always does the same, as a forest."""
    state = world.reset(world.train()[task], 0).state
    rows, parent = [{}], [-1]
    while True:
        found = world.step(state, Action(array=np.int64(action)), keys.fold(task, len(rows)))
        state = found.state
        rows.append(found.columns)
        parent.append(len(parent) - 1)
        if found.end != End.OPEN:
            break
    names = {name for row in rows for name in row}
    return Forest.of(parent, {name: [row.get(name) for row in rows] for name in names})


def test_the_shaped_reward_ranks_parking_first_and_completion_ranks_it_last(record_property):
    """Four starts among 10 cars, scripted drivers: the order, not the values, is what must hold."""
    world = Highway()
    paid, done, crashed = {}, {}, {}
    for name, action in DRIVERS.items():
        episodes = [drive(world, task, action) for task in range(STARTS)]
        leaves = [(forest, forest.leaves()) for forest in episodes]
        paid[name] = float(torch.cat([Earned()(forest, leaf).values for forest, leaf in leaves]).mean())
        done[name] = float(torch.cat([Completed()(forest, leaf).values for forest, leaf in leaves]).mean())
        crashed[name] = float(torch.cat([Infraction()(forest, leaf).values for forest, leaf in leaves]).mean())
    record_property("return, completion, infractions", (paid, done, crashed))
    assert max(paid, key=paid.get) == "brake"
    assert min(done, key=done.get) == "brake"
    assert paid["brake"] > 2 * paid["keep"]
    assert crashed["brake"] == 0


def test_settings_choose_the_reward():
    assert isinstance(carl.build().rewards[0], Progress)
    assert isinstance(carl.build(reward="simulator").rewards[0], Payoff)
    assert carl.build(reward="shaped").rewards[0].name == "shaped"
    assert all(carl.build(reward=name).weights == (1.0, 0.0, 0.0) for name in ("carl", "shaped", "simulator"))


def test_the_recipe_keeps_the_common_promises():
    check_recipe("carl", tests=Path(__file__).parents[1])
