"""Environments through Gymnasium's interface: its own checker, ends, seeds, and going back."""

import warnings

import pytest
from gymnasium.utils.env_checker import check_env

from milepost.environments.gymnasium_adapter import as_gymnasium
from milepost.environments.search.environment import Limits, Search
from milepost.environments.textworld import TextWorld
from milepost.errors import MissingExtra, SettingError
from milepost.part import Observation, Start

WORLD = Search(train_size=12, limits=Limits(turns=2))
TASKS = WORLD.train()


def solved(task, transition) -> float:
    return float(task.record["answer"] in transition.columns["call"])


@pytest.fixture
def game():
    return as_gymnasium(WORLD, TASKS, solved)


@pytest.mark.parametrize(
    "world", [WORLD, TextWorld(train_size=2, rooms=2, objects=2, quest=2)], ids=["search", "textworld"]
)
def test_gymnasiums_own_checker_has_nothing_to_say(world):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(render|not wrapped|spec).*")
        check_env(as_gymnasium(world, world.train(), solved), skip_render_check=True)


def test_an_episode(game):
    shown, info = game.reset(options={"task": 0})
    assert (shown, info) == (TASKS[0].record["prompt"], {"task": TASKS[0].id, "end": "OPEN"})
    shown, score, terminated, truncated, info = game.step(f"<search>{TASKS[0].record['plan'][0]}</search>")
    assert TASKS[0].record["answer"] in shown
    assert (score, terminated, truncated) == (0.0, False, False)
    assert info["extra.gold_recall"] == 1.0
    shown, score, terminated, truncated, info = game.step(f"<answer>{TASKS[0].record['answer']}</answer>")
    assert (shown, score, terminated, truncated, info["end"]) == ("", 1.0, True, False, "TERMINATED")


def test_a_limit_truncates(game):
    game.reset(seed=1)
    assert game.step("hm")[2:4] == (False, False)
    assert game.step("hm")[2:4] == (False, True)


def test_a_seed_fixes_the_tasks(game):
    drawn = [[game.reset(seed=5)[1]["task"]] + [game.reset()[1]["task"] for _ in range(8)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 3


def test_going_back(game):
    game.reset(options={"task": 1})
    kept = game.snapshot()
    first = game.step("<search>Peru</search>")
    game.step("<answer>x</answer>")
    game.restore(kept)
    assert game.step("<search>Peru</search>") == first


def test_text_outside_the_space_is_brought_inside():
    class Strange:
        def reset(self, task, key):
            return Start(observation=Observation(text="São Tomé " + "x" * 50), state=None)

    game = as_gymnasium(Strange(), TASKS, solved, characters=20)
    shown, _ = game.reset()
    assert shown == "S?o Tom? xxxxxxxxxxx"
    assert game.observation_space.contains(shown)


def test_what_is_missing_is_told(monkeypatch):
    with pytest.raises(SettingError, match="tasks"):
        as_gymnasium(WORLD, (), solved)
    monkeypatch.setitem(__import__("sys").modules, "gymnasium", None)
    with pytest.raises(MissingExtra, match=r"milepost\[control\]"):
        as_gymnasium(WORLD, TASKS, solved)
