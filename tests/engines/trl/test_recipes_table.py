"""The table of which recipe runs in which engine, and the examples for verl: what they say is what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from milepost import recipe
from milepost.engines.trl.recipes import check_reads, parts_of, reward_functions
from milepost.engines.verl.agent import Growing
from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from milepost.environments.search.environment import Search
from milepost.errors import SettingError
from milepost.objectives.clipped import Clipped
from milepost.recipe import Train
from milepost.sampling.choice import Uniform

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "verl"
IN_VERL = sorted(path.stem for path in EXAMPLES.glob("*.yaml") if path.stem != "loops")


def cells():
    """Name of each recipe to its row: what it says of the local engine, TRL and verl."""
    text = (ROOT / "docs" / "how-to" / "engines.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    known = {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0]) if len(row) == 4}
    return {name: row for name, row in known.items() if name in recipe.names()}


ROWS = cells()


def test_every_recipe_has_a_row():
    assert set(ROWS) == set(recipe.names())
    assert all(row[0].startswith("whole") for row in ROWS.values())


def in_trl(name, *, environment):
    """Whether TRL's adapter takes a recipe."""
    settings = {"vas": {"refresh_every": 0}, "bleuberi": {"control": True}}.get(name, {})
    job = recipe.builder(name)(**settings)
    try:
        parts = parts_of(job, width=getattr(getattr(job, "sampler", None), "width", 8), environment=environment)
        if not environment:
            check_reads(parts, [one.__name__ for one in reward_functions(job)])
    except SettingError:
        return False
    return True


@pytest.mark.parametrize("name", recipe.names())
def test_what_is_said_of_trl(name):
    said = ROWS[name][1]
    alone = in_trl(name, environment=False)
    inside = alone or (name != "g2rl" and in_trl(name, environment=True))
    assert said.startswith("no") == (not inside), said
    assert ("`environment=`" in said) == (inside and not alone), said
    assert recipe.card(name).job == "train" or said.startswith("no")


def runs_in_verl(job):
    """Whether verl's adapter can run a recipe: as an estimator, or as an agent loop."""
    if not isinstance(job, Train):
        return False
    try:
        Growing(job=job, environment=Search(train_size=4, hops=(1, 2)), tokens=8, seed=0)
    except SettingError:
        return False
    return True


@pytest.mark.parametrize("name", recipe.names())
def test_what_is_said_of_verl(name):
    said = ROWS[name][2]
    assert said.startswith("no") == (not runs_in_verl(recipe.builder(name)())), said
    assert (f"`{name}.yaml`" in said) == (name in IN_VERL), said
    assert said.startswith("no") == (name not in IN_VERL), said


@pytest.mark.parametrize("name", IN_VERL)
def test_an_example_is_its_recipe(name):
    """Credit, width, limits of the loss and task choice of the recipe, by the names that verl has for them."""
    found = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    rollout, actor = (found["actor_rollout_ref"][one] for one in ("rollout", "actor"))
    data = found["data"]
    loops = {one["name"]: one for one in yaml.safe_load((EXAMPLES / "loops.yaml").read_text(encoding="utf-8"))}
    settings = data.get("milepost", {}).get("settings", {})
    loop = rollout.get("agent", {}).get("default_agent_loop")
    if loop is not None:
        assert loops[loop]["recipe"] == loop == name
        settings = loops[loop]["settings"]
    job = recipe.builder(name)(**settings)
    assert found["algorithm"]["adv_estimator"] == ("milepost_given" if loop else ESTIMATOR[name])
    assert rollout["n"] == (1 if loop else job.sampler.width)
    if isinstance(job.objective, Clipped):
        limits = (actor.get("clip_ratio_low", 0.2), actor.get("clip_ratio_high", 0.2))
        assert limits == (job.objective.low, job.objective.high)
    assert isinstance(job.choice, Uniform) == ("milepost" not in data)
    assert data.get("milepost", {}).get("recipe", name) == name


ESTIMATOR = dict.fromkeys(("grpo", "vas", "bleuberi"), "milepost_normalised") | {"a-grae": "milepost_a_grae"}


@pytest.mark.parametrize("name", ESTIMATOR)
def test_an_estimator_is_the_recipes_rule(name):
    job, estimator = recipe.builder(name)(), Estimator(credit=ESTIMATORS[ESTIMATOR[name]])
    wanted = replace(job.credit, accuracy="total", limits=(0.0, 1.0)) if name == "a-grae" else job.credit
    assert estimator.credit == wanted
