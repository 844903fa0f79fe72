"""A reward of images, with measures beside it that nothing is chosen by."""

from __future__ import annotations

from milepost.part import Reward
from milepost.rewards.combine import Scored
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.scorers import NearData, Recognised


def watched(reward: Reward) -> Scored:
    """Score by one reward, and write what a second classifier sees and how far the data are, both of weight 0.

    Args:
        reward: what counts.

    Returns:
        A scorer that writes the columns of all three, and a total that is the reward.

    Example:
        >>> [one.name for one in watched(ImageScore()).rewards]
        ['class', 'recognised', 'near_data']
    """
    beside = (ImageScore(scorer=Recognised(), name="recognised"), ImageScore(scorer=NearData(), name="near_data"))
    return Scored(rewards=(reward, *beside), weights=(1.0, 0.0, 0.0))
