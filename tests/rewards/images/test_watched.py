"""A reward with measures beside it that do not count."""

import torch

from milepost.forest import Forest
from milepost.images.digits import digits
from milepost.rewards.images.reward import ImageScore
from milepost.rewards.images.watched import watched


def test_the_total_is_the_reward_alone():
    data = digits()
    columns = {"observation": data.label[:3], "latent": data.image[:3], "end": [0, 1, 1], "time": [1.0, 0.0, 0.0]}
    forest = Forest.of([-1, 0, 0], columns)
    found = watched(ImageScore())(forest, torch.tensor([1, 2]))
    torch.testing.assert_close(found["reward.total"][1:], found["reward.class"][1:])
    assert found["reward.near_data"][1:].tolist() == [0.0, 0.0]
    assert found["ok.recognised"].tolist() == [False, True, True]
