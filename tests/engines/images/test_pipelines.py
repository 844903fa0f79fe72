"""A run with a pipeline from a folder: prompts from a file, scores by a CLIP model or a function of the user's own."""

import json
from dataclasses import replace

import pytest
import torch

from milepost import storage
from milepost.engines import build, local
from milepost.engines.images.pipelines import rescored
from milepost.engines.settings import KeepSettings, PolicySettings, RunSettings, TaskSettings, UpdateSettings
from milepost.errors import MilepostError
from milepost.policies.flow import kernel
from milepost.recipes import densegrpo, flow_grpo
from milepost.rewards.images.scorers import Compressibility
from milepost.testing import pipelines


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A saved pipeline, a saved CLIP model, prompts and a function, side by side."""
    folder = tmp_path_factory.mktemp("drawing")
    pipelines.stable_diffusion_3().save_pretrained(folder / "sd3")
    pipelines.clip().save_pretrained(folder / "clip")
    pipelines.letters().save_pretrained(folder / "clip")
    (folder / "prompts.txt").write_text("a red cat\na dog\n", encoding="utf-8")
    (folder / "mine.py").write_text("def red(images, prompts):\n    return images[:, 0].mean((1, 2))\n")
    return folder


def settings(place, recipe="flow-grpo", reward="clip", **options):
    own = {"file": str(place / "prompts.txt"), **options}
    return RunSettings(
        recipe=recipe,
        settings={"width": 4, "denoising_steps": 3},
        tasks=TaskSettings(names=("prompts",), train=1, held_out=2, options={"prompts": own}),
        policy=PolicySettings(model=str(place / "sd3")),
        update=UpdateSettings(steps=1, tasks_per_step=2, learning_rate=1e-3),
        keep=KeepSettings(),
        reward=(f"clip:{place / 'clip'}" if reward == "clip" else f"{place / 'mine.py'}:red",),
    )


def quiet(event):
    del event


def test_a_run_trains_the_pipeline_and_measures_it(place, tmp_path):
    """One update of two prompts: log-probabilities are the kernel's to 1e-5, and the run is the same twice."""
    found = [local.run(settings(place, guidance=2.0), tmp_path / name, on_event=quiet) for name in ("one", "two")]
    assert set(found[0].last.measures) == {"clip", "spread"}
    assert 0 <= found[0].last.success <= 1
    one, two = ((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0] for name in ("one", "two"))
    numbers = json.loads(one)
    assert numbers["reward/clip_mean"] == json.loads(two)["reward/clip_mean"]
    assert abs(numbers["objective/ratio_mean"] - 1) < 1e-4
    forest = storage.read(next((tmp_path / "one" / "forests").iterdir()))
    row = (forest["stochastic"] & forest.valid("stochastic")).nonzero().squeeze(1)
    assert len(row) == 2 * 4 * 2  # two prompts, four pictures, two steps with noise
    truth = kernel.log_prob(forest["latent"][row], forest["mean"][row], forest["std"][row], reduction="mean")
    torch.testing.assert_close(forest["log_prob"][row].float(), truth, atol=1e-5, rtol=0)
    calls = forest["cost.model_calls"].where(forest.valid("cost.model_calls"), 0)
    assert float(calls.sum()) == 2 * 4 * 3 * 2  # guidance takes two calls for each step


def test_a_function_of_the_users_own_scores_the_pictures(place):
    world = build.world(settings(place, recipe="densegrpo", reward="mine", passing=0.4, size=8))
    assert [(reward.name, weight) for reward, weight in zip(world.job.rewards, world.job.weights, strict=True)] == [
        ("gain", 1.0), ("red", 0.0),
    ]  # fmt: skip
    assert [one.name for one in world.job.measures] == ["red", "spread"]
    assert world.verdict.scorer.scorer.bar == 0.4
    assert world.policy.process.completed
    assert world.policy.network.shape == (4, 4, 4)  # a number of the latent stands for two by two pixels
    assert len(world.train) == 2  # every prompt, whatever tasks.train says


def test_a_penalty_has_the_pipeline_before_training_as_its_reference(place):
    asked = settings(place)
    world = build.world(
        replace(asked, settings={**asked.settings, "kl": 0.1}, policy=replace(asked.policy, lora_rank=2))
    )
    assert world.reference is not None
    assert world.reference.network.adapters is False
    assert all("lora" in name for name in world.policy.trainable())


def test_what_scored_digits_scores_pictures_and_what_knew_the_data_is_left_out():
    scorer = Compressibility()
    for recipe, names in ((flow_grpo, ["bytes"]), (densegrpo, ["gain", "bytes"])):
        job = rescored(recipe.build(), scorer, "bytes")
        assert [reward.name for reward in job.rewards] == names
        assert all(reward.scorer is scorer for reward in job.rewards)
        assert (sum(job.weights), len(job.weights)) == (1.0, len(names))


def test_a_size_that_is_no_whole_latent_is_refused(place):
    with pytest.raises(MilepostError, match=r"size=9 .* multiple of 2"):
        build.world(settings(place, size=9))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": "euphonium", "settings": {}}, "noisy digits"),
        ({"recipe": "grpo", "settings": {}}, "--domain flow"),
        ({"reward": ()}, "received 0: --reward clip:"),
        ({"reward": ("clip:nowhere",)}, r"nowhere has no config\.json"),
        ({"reward": ("nowhere.py:score",)}, r"nowhere\.py"),
        ({"policy": PolicySettings()}, "give --model <folder>"),
        ({"policy": PolicySettings(model="nowhere")}, "nowhere is no folder"),
        ({"settings": {"noise": 9.0}}, "adds more noise"),
    ],
)
def test_what_does_not_fit_is_refused(place, change, says):
    with pytest.raises(MilepostError, match=says):
        build.world(replace(settings(place), **change))
