"""CaRL on the highway: which driver each reward ranks first, and that the recipe learns from what it says."""

from pathlib import Path

import numpy as np
import torch

from milepost import keys
from milepost.columns import End
from milepost.environments.control.highway import SPEEDS_M_S, Highway
from milepost.forest import Forest
from milepost.part import Action
from milepost.recipes import carl
from milepost.rewards.control.driving import Completed, Infraction, Progress, Shaped
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


def paid(reward, speed, crashed):
    """What a reward says of a second at some speed that goes well or ends in a crash."""
    facts = {
        "extra.travelled_m": [0.0, speed], "extra.speed_m_s": [speed, speed], "extra.lateral_m": [0.0, 0.0],
        "extra.collision_s": [100.0, 0.0 if crashed else 100.0], "extra.crashed": [0.0, float(crashed)],
        "extra.off_road": [0.0, 0.0],
    }  # fmt: skip
    return float(reward(Forest.of([-1, 0], facts), torch.tensor([1])).values)


def simulated(speed, crashed):
    """highway-env on its rightmost lane: -1 for a crash, 0.1 for the lane, 0.4 for speed, put into [0, 1]."""
    return (-float(crashed) + 0.1 + 0.4 * min(max((speed - 20) / 10, 0), 1) + 1) / 1.5


def best_speeds(reward, danger, seconds=40):
    """Speeds of the best policy from 25 m/s, by backward induction: each second one speed up, down, or the same.

    A second at speed v ends in a crash, and with it the episode, with probability danger v.
    """
    crash = [min(1.0, danger * speed) for speed in SPEEDS_M_S]
    mean = [p * reward(v, True) + (1 - p) * reward(v, False) for v, p in zip(SPEEDS_M_S, crash, strict=True)]
    worth, choices, top = [0.0] * len(mean), [], len(mean) - 1
    for _ in range(seconds):
        arrive = [mean[at] + (1 - crash[at]) * worth[at] for at in range(len(mean))]
        choice = [max((max(at - 1, 0), at, min(at + 1, top)), key=lambda to: arrive[to]) for at in range(len(mean))]
        worth = [arrive[to] for to in choice]
        choices.append(choice)
    at, driven = SPEEDS_M_S.index(25.0), []
    for choice in reversed(choices):
        at = choice[at]
        driven.append(SPEEDS_M_S[at])
    return driven


def test_the_best_policy_of_a_shaped_sum_brakes_for_ever_and_that_of_completion_never():
    """Exact. At 0.4 % danger per second and m/s (a crash each 10 s at 25 m/s) both shaped rewards stop at once."""

    def shaped(speed, crashed):
        return paid(Shaped(), speed, crashed)

    def carl_pays(speed, crashed):
        return paid(Progress(), speed, crashed)

    stopping = [20.0, 15.0, 10.0, 5.0]
    for rival in (simulated, shaped):
        driven = best_speeds(rival, 0.004)
        assert driven[:4] == stopping
        assert set(driven[4:30]) == {0.0}  # it moves only when there is nothing left to lose
    for danger in (0.0, 0.004, 0.03):
        assert min(best_speeds(carl_pays, danger)) > 0
    assert min(best_speeds(shaped, 0.0)) >= 25  # without danger the sum drives, too: it is danger that parks it


def test_settings_choose_the_reward():
    assert isinstance(carl.build().rewards[0], Progress)
    assert isinstance(carl.build(reward="simulator").rewards[0], Payoff)
    assert carl.build(reward="shaped").rewards[0].name == "shaped"
    assert all(carl.build(reward=name).weights == (1.0, 0.0, 0.0) for name in ("carl", "shaped", "simulator"))


def test_the_recipe_keeps_the_common_promises():
    check_recipe("carl", tests=Path(__file__).parents[1])
