"""A user's own score of the digits' images: the function that scores the pictures of prompts scores these too."""

from __future__ import annotations

from dataclasses import replace

from milepost.engines.settings import RunSettings
from milepost.environments.denoising import Denoising
from milepost.errors import SettingError
from milepost.part import Reward
from milepost.recipe import Train
from milepost.rewards.images.function import PictureFunction
from milepost.rewards.images.pictures import Decoded, coloured
from milepost.rewards.images.reward import Gain, ImageScore
from milepost.rewards.images.scorers import ClassLogProb, Scorer


def scored(settings: RunSettings, work: Train) -> Train:
    """A job for the digits that is rewarded by the function that a run names.

    Args:
        settings: of the run: `reward` names one function of images and prompts, such as "a handwritten 3".
        work: the recipe's job.

    Returns:
        The job; what it watches with weight 0 and measures beside the reward stays.

    Raises:
        SettingError: more than one function, one that asks for something else, or a recipe that steers by the class.
    """
    if len(settings.reward) != 1:
        raise SettingError(
            f"Images need one reward, received {len(settings.reward)}: --reward mine.py:score, a function of images "
            "and prompts that gives one number for each."
        )
    if work.guide is not None:
        raise SettingError(
            f"Recipe {settings.recipe!r} steers by a classifier of noisy digits, and --reward {settings.reward[0]} "
            "says nothing of noisy images: choose another recipe, or compose its parts in Python with a value of "
            "your own."
        )
    prompts = tuple(str(task.record["prompt"]) for task in Denoising().train())
    function = PictureFunction(source=settings.reward[0], prompts=prompts)
    function.load()  # what is not there is found before the first image, not after
    return rescored(work, Decoded(decode=coloured, scorer=function), function.name)


def rescored(work: Train, scorer: Scorer, name: str) -> Train:
    """A job with another scorer where it scored the class of digits.

    Args:
        work: the job of a recipe.
        scorer: of images.
        name: of the score of finished images.

    Returns:
        The job; the score alone is its reward where nothing scored the class.
    """
    rewards = tuple(with_scorer(reward, scorer, name) or reward for reward in work.rewards)
    if rewards == work.rewards:
        return replace(work, rewards=(ImageScore(scorer=scorer, name=name),), weights=(1.0,))
    return replace(work, rewards=rewards)


def with_scorer(reward: Reward, scorer: Scorer, name: str) -> Reward | None:
    """A reward with another scorer, if it scored the class of digits.

    Args:
        reward: of a recipe for the digits.
        scorer: the other one.
        name: of the score of finished images.

    Returns:
        The reward; None if it scored something else, or no images.
    """
    if isinstance(reward, Gain) and isinstance(reward.scorer, ClassLogProb):
        return replace(reward, scorer=scorer)
    if isinstance(reward, ImageScore) and isinstance(reward.scorer, ClassLogProb):
        return replace(reward, scorer=scorer, name=name)
    return None
