"""What of each recipe runs inside TRL, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest

from milepost import recipe
from milepost.credit.group import Normalised
from milepost.engines.trl.recipes import (
    Parts,
    check_reads,
    leaf_weights,
    loss_settings,
    parts_of,
    reward_functions,
    training,
)
from milepost.errors import SettingError
from milepost.objectives.clipped import DualClipped
from milepost.objectives.kl import KLPenalty
from milepost.recipes import a_grae, grpo, r3l, vas
from milepost.rewards.outcome import Solved
from milepost.sampling.choice import Uniform
from milepost.sampling.mixture import Mixture

RUNS = ("a-grae", "bleuberi", "grpo", "oprl", "vas")
REFUSED = ("r3l", "rex-rag", "slate")
IN_AN_ENVIRONMENT = ("slate", "subsearch", "mini-o3")


@pytest.mark.parametrize("name", RUNS)
def test_recipes_that_run(name):
    job = recipe.builder(name)(width=4)
    parts = parts_of(job, width=4)
    assert parts.credit == job.credit
    functions = reward_functions(job)
    assert [function.reward for function in functions] == list(job.rewards)
    assert leaf_weights(job) == list(job.weights)
    check_reads(parts, [function.__name__ for function in functions])


@pytest.mark.parametrize("name", REFUSED)
def test_recipes_that_do_not(name):
    with pytest.raises(SettingError, match="no place for"):
        parts_of(recipe.builder(name)(), width=4)


@pytest.mark.parametrize("name", ["subsearch", "mini-o3"])
def test_recipes_that_read_what_only_an_environment_writes(name):
    with pytest.raises(SettingError, match=r"which TRL does not write: pass environment"):
        parts_of(recipe.builder(name)(width=4), width=4)


@pytest.mark.parametrize("name", IN_AN_ENVIRONMENT)
def test_recipes_that_run_in_an_environment(name):
    job = recipe.builder(name)(width=4)
    assert parts_of(job, width=4, environment=True).credit == job.credit


@pytest.mark.parametrize("name", ["flow-grpo", "densegrpo"])
def test_flow_models_are_refused(name):
    with pytest.raises(SettingError, match="trains language models"):
        parts_of(recipe.builder(name)(), width=24)


def test_what_does_not_train():
    with pytest.raises(SettingError, match="TRL trains"):
        parts_of(recipe.builder("signals")(), width=4)


@pytest.mark.parametrize(
    ("received", "said"),
    [
        ("a-grae", "recipe is a str 'a-grae', expected a built one: pass what `a_grae.build"),
        (a_grae, "recipe is a module, expected a built one: pass what `a_grae.build"),
        (vas.build, "recipe is a function, expected a built one: pass what `vas.build"),
        ({"recipe": "vas"}, "recipe is a dict, expected a built one: pass what `a_grae.build"),
    ],
)
def test_a_recipe_that_was_not_built(received, said):
    for asked in (training, reward_functions, loss_settings, partial(parts_of, width=4)):
        with pytest.raises(SettingError, match=re.escape(said)):
            asked(received)


def test_classes_are_not_parts():
    for named in ({"credit": Normalised}, {"credit": Normalised(), "choice": Uniform}):
        with pytest.raises(SettingError, match=r"is the class .*expected an object of it"):
            Parts(**named)
    with pytest.raises(SettingError, match="step_rewards is the class Solved"):
        Parts(credit=Normalised(), step_rewards=[Solved])


def test_a_shuffled_pass_is_left_to_trl():
    assert parts_of(a_grae.build(width=4), width=4).choice is None
    assert isinstance(parts_of(vas.build(width=4), width=4).choice, Mixture)


def test_dynamic_sampling_is_refused():
    with pytest.raises(SettingError, match="resample_rounds"):
        parts_of(replace(a_grae.build(width=4), resample_rounds=2), width=4)


def test_width_must_agree():
    with pytest.raises(SettingError, match="build it with width=4"):
        parts_of(a_grae.build(width=8), width=4)


def test_what_nobody_writes():
    credit = a_grae.build().credit
    with pytest.raises(SettingError, match=r"reads 'reward\.outcome'"):
        check_reads(Parts(credit=credit), ["other"])
    with pytest.raises(SettingError, match="names must differ"):
        check_reads(Parts(credit=Normalised()), ["a", "a"])
    with pytest.raises(SettingError, match="'total'"):
        check_reads(Parts(credit=Normalised()), ["total"])


def test_features_of_the_policy_are_refused():
    job = recipe.builder("g2rl")()
    with pytest.raises(SettingError, match="feature"):
        check_reads(Parts(credit=job.credit), [reward.name for reward in job.rewards])


def test_loss():
    found = loss_settings(grpo.build(width=4))
    assert found["loss_type"] == "dapo"
    assert found["num_generations"] == 4
    assert found["beta"] == 0.0
    assert loss_settings(vas.build(kl=0.04))["beta"] == 0.04
    for objective in (DualClipped(), KLPenalty(objective=DualClipped(), corrected=True)):
        with pytest.raises(SettingError, match="no loss like"):
            loss_settings(replace(grpo.build(), objective=objective))
    with pytest.raises(SettingError, match="no loss like"):
        loss_settings(r3l.build())
