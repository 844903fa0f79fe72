"""A function of images and prompts rewards the digits too, and what does not fit is said at once."""

from dataclasses import replace

import pytest
import torch

from milepost.engines import build, local
from milepost.engines.images import own_reward
from milepost.engines.settings import RunSettings, TaskSettings, UpdateSettings
from milepost.errors import SettingError
from milepost.recipes import densegrpo, flow_grpo
from milepost.rewards.images.reward import Gain, ImageScore
from milepost.rewards.images.scorers import Compressibility, NearData

SOURCE = """
def ink(images, prompts):
    assert images.shape[1:] == (3, 8, 8) and 0 <= images.min() and images.max() <= 1
    assert all(prompt.startswith("a handwritten ") for prompt in prompts)
    return images.mean((1, 2, 3))

def asked(images, prompts):
    return [float(prompt[-1]) for prompt in prompts]

def text(completions):
    return [0.0 for one in completions]
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE, encoding="utf-8")

    def of(name="ink", recipe="flow-grpo", width=4):
        return RunSettings(
            recipe=recipe,
            settings={"width": width},
            tasks=TaskSettings(names=("digits",), train=2, held_out=2),
            update=UpdateSettings(steps=1, tasks_per_step=2, learning_rate=1e-3),
            reward=(f"{path}:{name}",),
        )

    return of


@pytest.mark.parametrize("recipe", ["flow-grpo", "densegrpo"])
def test_a_run_is_rewarded_by_the_function(settings, recipe, tmp_path):
    """Every image is scored, and success and measures are those of the digits."""
    found = local.run(settings(recipe=recipe), tmp_path / "run", on_event=lambda event: None)
    assert 0 < found.last.rewards["ink"] < 1
    assert set(found.last.measures) == {"diversity", "data_gap"}
    assert {"ink", "near_data"} <= set(found.last.rewards)


def test_the_prompt_is_that_of_the_task(settings):
    job = own_reward.scored(settings("asked"), flow_grpo.build())
    image = torch.full((3, 8, 8), 2.0)
    assert job.rewards[0].scorer(image, torch.tensor([7, 0, 3])).tolist() == [7, 0, 3]


def test_it_takes_the_place_of_the_class_and_of_nothing_else():
    scorer = Compressibility()
    job = own_reward.rescored(densegrpo.build(), scorer, "small")
    gain, last, near = job.rewards
    assert gain == Gain(scorer=scorer)
    assert last == ImageScore(scorer=scorer, name="small")
    assert near == ImageScore(scorer=NearData(), name="near_data")
    assert job.weights == (1.0, 0.0, 0.0)
    alone = own_reward.rescored(replace(job, rewards=(near,), weights=(0.0,)), scorer, "small")
    assert (alone.rewards, alone.weights) == ((last,), (1.0,))


def test_what_does_not_fit_is_refused_before_a_model_is_loaded(settings):
    with pytest.raises(SettingError, match=r"\['completions'\].*images, prompts"):
        build.job(settings("text"))
    with pytest.raises(SettingError, match="steers by a classifier of noisy digits"):
        build.job(settings(recipe="euphonium"))
    one = settings()
    with pytest.raises(SettingError, match="need one reward, received 2"):
        build.job(replace(one, reward=one.reward * 2))
