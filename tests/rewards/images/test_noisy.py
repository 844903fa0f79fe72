"""The reward of noisy latents: what it knows at each time, its slope, where it is read."""

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.images.digits import halves
from milepost.policies.flow.guidance import slope
from milepost.rewards.images.noisy import NoisyClass, ProcessScore, through_noise


def noised(time):
    """The half of the digits that it never saw, mixed with noise."""
    data = halves().second
    noise = torch.from_numpy(keys.normal([1], data.image.shape)[0]).float()
    return (1 - time) * data.image + time * noise, torch.full((len(data.label),), time), data.label


def test_it_knows_less_the_more_noise_there_is(record_property):
    found = []
    for time in (0.0, 0.4, 0.7, 1.0):
        latent, at, label = noised(time)
        found.append(float((through_noise()(latent, at).argmax(1) == label).double().mean()))
    record_property("right", found)
    assert found[0] > 0.97
    assert found[1] > 0.85
    assert found == sorted(found, reverse=True)
    assert found[3] < 0.2


def test_following_the_slope_raises_the_value():
    latent, at, label = noised(0.5)
    value = NoisyClass()
    rise = slope(value, latent, at, label)
    assert float((value(latent + 0.1 * rise, at, label) - value(latent, at, label)).mean()) > 0.02


def path():
    """A root that asks for a 3, its first noise, two steps; latents are an image at three times."""
    image = halves().second.image[halves().second.label == 3][0]
    latent = torch.stack((torch.zeros(8, 8), 0.3 * image, 0.7 * image, image))
    columns = {"latent": latent, "time": [1.0, 1.0, 0.5, 0.0], "observation": torch.tensor([3, 0, 0, 0])}
    return Forest.of([-1, 0, 1, 2], columns)


def test_read_after_before_or_the_gain():
    forest, rows = path(), torch.tensor([1, 2, 3])
    value = NoisyClass()(forest["latent"], forest["time"], torch.full((4,), 3))
    after, before, gain = (ProcessScore(taken=one)(forest, rows) for one in ("after", "before", "gain"))
    torch.testing.assert_close(after.values, value[1:])
    torch.testing.assert_close(before.values[1:], value[1:3])
    torch.testing.assert_close(gain.values[1:], value[2:] - value[1:3])
    assert after.ok.tolist() == [True, True, True]
    for one in (before, gain):
        assert one.ok.tolist() == [False, True, True]
        assert one.reasons[0].startswith("not_run")
    assert bool((after.values <= 0).all())


def test_another_place_is_refused():
    with pytest.raises(SettingError, match="taken"):
        ProcessScore(taken="somewhere")
