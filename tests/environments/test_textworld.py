"""Generated games: solutions that win, states that branch, the same games everywhere, nothing global touched."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from milepost import state as stored
from milepost.columns import End
from milepost.environments import textworld
from milepost.environments.textworld import NOT_POSSIBLE, GameState, TextWorld
from milepost.errors import MissingExtra, SettingError
from milepost.part import Action
from milepost.testing import check_environment

WORLD = TextWorld(rooms=3, objects=4, quest=3, train_size=4, held_out_size=1, turns=8)
TASKS = WORLD.train()


def act(command: str) -> Action:
    return Action(text=f"<act>{command}</act>")


def play(task, actions, world=WORLD):
    state, found = world.reset(task, 0).state, []
    for action in actions:
        found.append(world.step(state, action, 0))
        state = found[-1].state
    return found


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_plan_wins_and_every_step_of_it_is_progress(task):
    found = play(task, [act(command) for command in task.record["plan"]])
    assert [one.columns["extra.progress"] for one in found] == [1.0] * len(found)
    assert [one.end for one in found] == [End.OPEN] * (len(found) - 1) + [End.TERMINATED]
    assert (found[-1].discount, found[-1].observation, found[-1].columns["extra.score"]) == (0.0, None, 1.0)
    assert json.loads(found[-1].columns["call"])["answer"] == "won" == task.record["answer"]
    assert all("answer" not in json.loads(one.columns["call"]) for one in found[:-1])


def test_the_next_command_of_the_plan_is_always_listed():
    for task in TASKS:
        shown = task.record["prompt"]
        for command, went in zip(task.record["plan"], play(task, map(act, task.record["plan"])), strict=True):
            assert command in shown.rpartition("You can: ")[2].rstrip(".").split(", ")
            shown = went.columns["result"]


def test_what_is_shown_follows_from_the_facts():
    task = TASKS[0]
    shown = WORLD.reset(task, 0).observation.text
    assert shown.startswith(textworld._game(task.record["seed"], 3, 4, 3).game.objective)
    assert "You are in the " in shown
    taken = next(command for command in shown.rpartition("You can: ")[2].rstrip(".").split(", ") if "drop" in command)
    thing = taken.removeprefix("drop ")
    assert thing in shown.partition("You carry ")[2].partition(".")[0]
    after = play(task, [act(taken)])[0].columns["result"]
    assert thing not in after.partition("You carry ")[2].partition(".")[0]
    assert thing in after.partition("You see ")[2].partition(".")[0]


def test_it_keeps_the_contract():
    plan = TASKS[0].record["plan"]
    check_environment(WORLD, TASKS[:1], [act(plan[0]), act("look"), Action(text="open it")])


def test_what_is_malformed_or_impossible_changes_nothing_but_the_turn():
    task = TASKS[0]
    found = play(task, [Action(text="go"), act("fly away"), act("look")])
    assert found[0].columns["result"].startswith("malformed action: no_action\nYou are in")
    assert found[1].columns["result"].startswith(f"{NOT_POSSIBLE}\nYou are in")
    assert found[2].columns["result"].startswith("You are in")
    assert [one.columns["extra.progress"] for one in found] == [0.0, 0.0, 0.0]
    assert [one.state.turns for one in found] == [1, 2, 3]
    assert [json.loads(one.columns["call"])["action"] for one in found] == ["malformed", "act", "act"]


def test_turns_run_out():
    found = play(TASKS[0], [act("look")] * 8)
    assert [one.end for one in found] == [End.OPEN] * 7 + [End.TURN_LIMIT]
    with pytest.raises(SettingError, match="has ended"):
        WORLD.step(found[-1].state, act("look"), 0)


def test_branches_are_independent_and_survive_on_disk():
    task = TASKS[1]
    plan = task.record["plan"]
    middle = play(task, [act(plan[0])])[0].state
    dumped = stored.dump(middle)
    back = stored.load(GameState, stored.Dumped(dumped.tensors, json.loads(json.dumps(dumped.record))))
    assert back == middle
    straight = [WORLD.step(middle, act(plan[1]), 0)]
    textworld._played.cache_clear()  # from the commands alone
    WORLD.step(middle, act("look"), 0)
    assert [WORLD.step(back, act(plan[1]), 0)] == straight


def test_pools_share_no_game():
    ids = [task.id for pool in ("demonstration", "train", "held_out") for task in WORLD.pool(pool, 3)]
    prompts = [task.record["prompt"] for pool in ("demonstration", "train", "held_out") for task in WORLD.pool(pool, 3)]
    assert len(set(ids)) == len(set(prompts)) == 9
    assert WORLD.pool("train", 2) == TASKS[:2]


def test_the_same_games_in_every_process():
    code = "from milepost.environments.textworld import TextWorld as T; print(T(train_size=1).train()[0].record)"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{TASKS[0].record}\n"}


def test_global_randomness_is_left_alone():
    textworld._game.cache_clear()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    WORLD.pool("train", 1)
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))  # noqa: NPY002


def test_absence_is_told(monkeypatch):
    textworld._game.cache_clear()
    monkeypatch.setitem(sys.modules, "textworld.generator", None)
    with pytest.raises(MissingExtra, match=r"milepost\[textworld\]"):
        WORLD.train()
