"""From settings to parts: names that do not exist are named, and a user's own reward takes the recipe's place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from milepost.engines import build
from milepost.engines.settings import PolicySettings, RunSettings, TaskSettings
from milepost.errors import MilepostError, UnknownName
from milepost.policies.causal_lm import CausalLM
from milepost.policies.flow.denoiser import Denoiser
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import Recognised

SETTINGS = RunSettings(recipe="grpo", tasks=TaskSettings(names=("chain_sum", "spell_backward"), train=5, held_out=3))
FLOW = replace(SETTINGS, recipe="flow-grpo", tasks=TaskSettings(names=("digits",)))


def test_tasks_are_shared_out_among_the_generators() -> None:
    world = build.world(SETTINGS)
    families = [task.family for task in world.train]
    assert (families.count("chain_sum"), families.count("spell_backward")) == (3, 2)
    assert len(world.held_out) == 3
    assert not {task.id for task in world.train} & {task.id for task in world.held_out}
    assert world.reference is None


def test_a_reference_is_there_when_the_objective_asks_for_one() -> None:
    world = build.world(replace(SETTINGS, settings={"kl": 0.01}))
    assert world.reference is not None
    assert world.reference is not world.policy


def test_own_rewards_take_the_place_of_the_recipes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def brevity(completions):\n    return [1 / (1 + len(text)) for text in completions]\n")
    job = build.job(replace(SETTINGS, reward=(f"{path}:brevity",)))
    assert [reward.name for reward in job.rewards] == ["brevity"]
    assert job.weights == (1.0,)


def test_the_tasks_choose_environment_stop_strings_and_embedded_model() -> None:
    tasks = TaskSettings(names=("search_2hop",), train=4, held_out=2, options={"search_2hop": {"turns": 3}})
    world = build.world(replace(SETTINGS, tasks=tasks))
    assert {task.family for task in (*world.train, *world.held_out)} == {"search_2hop"}
    policy = world.policy
    assert isinstance(policy, CausalLM)
    assert policy.decoding.stop == ("</search>", "</answer>")
    other = build.world(SETTINGS).policy
    assert isinstance(other, CausalLM)
    assert other.decoding.stop == ("</answer>",)
    name = next(iter(policy.trainable()))
    assert not torch.equal(policy.trainable()[name], other.trainable()[name])


def test_images_are_drawn_by_a_denoiser_and_judged_by_a_classifier_without_noise() -> None:
    tasks = TaskSettings(names=("digits",), train=4, held_out=2)
    world = build.world(replace(SETTINGS, recipe="flow-grpo", tasks=tasks, settings={"denoising_steps": 6}))
    assert isinstance(world.policy, Denoiser)
    assert world.policy.process.grid.steps == 6
    assert world.verdict == ImageScore(scorer=Recognised(), name="solved")
    used = world.evaluated()
    assert isinstance(used, Denoiser)
    assert not bool(used.process.levels(0).any())
    assert used.network is world.policy.network
    asked = build.world(SETTINGS)
    assert asked.evaluated() is asked.policy


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (replace(SETTINGS, recipe="grppo"), UnknownName, "Did you mean 'grpo'"),
        (replace(SETTINGS, settings={"widht": 4}), UnknownName, "Did you mean 'width'"),
        (replace(SETTINGS, settings={"width": 0}), MilepostError, "at least 1"),
        (replace(SETTINGS, policy=PolicySettings(model="nowhere")), UnknownName, "expected 'embedded'"),
        (replace(SETTINGS, reward=("nowhere.py:reward",)), MilepostError, r"nowhere\.py"),
        (replace(SETTINGS, tasks=TaskSettings(names=("chain_summ",))), UnknownName, "Did you mean 'chain_sum'"),
        (replace(SETTINGS, tasks=TaskSettings(options={"countdown": {}})), MilepostError, "countdown"),
        (replace(SETTINGS, recipe="flow-grpo"), MilepostError, "name tasks of images"),
        (replace(SETTINGS, tasks=TaskSettings(names=("digits",))), MilepostError, "are images"),
        (
            replace(FLOW, policy=PolicySettings(model="digits-flw")),
            UnknownName,
            "Did you mean 'digits-flow'",
        ),
    ],
)
def test_what_does_not_exist_is_named(settings: RunSettings, error: type[MilepostError], says: str) -> None:
    with pytest.raises(error, match=says):
        build.world(settings)


@pytest.mark.parametrize(
    ("recipe", "settings", "says"),
    [
        ("flow-grpo", {}, r"--model\): A step adds noise.*--constant.*give --model digits-flow"),
        ("flow-grpo", {"constant": 1.5}, "at most 1"),
        ("densegrpo", {}, "--levels"),
        ("euphonium", {"noise": 0.1}, "Langevin was made for .* a rectified flow"),
        ("dynamic-treerpo", {}, "TowardsBest was made for .* a rectified flow"),
    ],
)
def test_what_a_model_of_images_cannot_do_is_said_before_it_is_loaded(
    recipe: str, settings: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milepost.policies.flow.digits.load", None)
    with pytest.raises(MilepostError, match=says):
        build.world(replace(FLOW, recipe=recipe, settings=settings, policy=PolicySettings(model="digits-ddpm")))


def test_a_credit_rule_that_reads_a_reward_by_name_is_told_early(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def mine(completions):\n    return [1.0 for _ in completions]\n")
    with pytest.raises(MilepostError, match=r"reads 'reward\.outcome'.*reward\.mine"):
        build.job(replace(SETTINGS, recipe="a-grae", reward=(f"{path}:mine",)))


def test_a_reward_of_the_users_own_also_guides_the_sampler(tmp_path: Path) -> None:
    """A sampler that scores on the way asks the same reward as the run, at any depth."""
    source = tmp_path / "own.py"
    source.write_text("def short(completions, **kwargs):\n    return [0.5 for _ in completions]\n", encoding="utf-8")
    for name in ("rex-rag", "r3l"):
        work = build.job(RunSettings(recipe=name, reward=(f"{source}:short",)))
        sampler: Any = work.sampler
        scorer = sampler.scorer if name == "rex-rag" else sampler.reflector.scorer
        assert scorer.rewards == work.rewards
        assert scorer.weights == work.weights == (1.0,)
    plain = build.job(RunSettings(recipe="grpo", reward=(f"{source}:short",)))
    assert plain.sampler == build.job(RunSettings(recipe="grpo")).sampler
