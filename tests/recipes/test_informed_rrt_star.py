"""The recipe: its settings reach its parts, and it beats RRT* where it says so."""

import statistics
from pathlib import Path

import pytest

from milepost import recipe
from milepost.engines import searching
from milepost.errors import SettingError
from milepost.planning.planner import RRTStar
from milepost.planning.problems import NAMES
from milepost.recipe import Search
from milepost.recipes import informed_rrt_star
from milepost.testing.recipes import check_recipe


def test_settings_reach_their_parts():
    job = informed_rrt_star.build(problems=("gap",), iterations=10, repeats=2, steer=0.3, goal_bias=0.1, prune=0.2)
    assert (job.tasks, job.repeats) == (("gap",), 2)
    informed, plain = job.seekers.values()
    assert informed.planner == RRTStar(steer=0.3, goal_bias=0.1, prune=0.2)
    assert plain.planner == RRTStar(informed=False, steer=0.3, goal_bias=0.1)
    assert informed.iterations == plain.iterations == 10


def test_the_recipe_keeps_the_contract():
    checked = check_recipe("informed-rrt-star", tests=Path(__file__).parents[1])
    assert "informed finds the same again" in checked


def test_defaults():
    assert informed_rrt_star.build().tasks == NAMES
    assert recipe.card("informed-rrt-star").job == "search"


def test_a_search_of_nothing_is_refused():
    for change in ({"problems": ()}, {"repeats": 0}):
        with pytest.raises(SettingError, match="does nothing"):
            informed_rrt_star.build(**change)
    with pytest.raises(SettingError, match="does nothing"):
        Search(tasks=("a",), seekers={})


def test_it_wins_in_the_large_world_and_on_the_arm(tmp_path):
    settings = {"problems": ("wide", "arm-pillar"), "iterations": 6000, "repeats": 5}
    found = searching.run("informed-rrt-star", settings, tmp_path / "run")
    for task in settings["problems"]:
        informed, plain = (
            statistics.median(one.cost for one in found if (one.task, one.seeker) == (task, seeker))
            for seeker in ("informed", "RRT*")
        )
        assert informed < plain
