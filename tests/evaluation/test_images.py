"""Measures of drawn images: hand examples, limits, and what they say of the digits themselves."""

import math

import pytest
import torch

from milepost import keys
from milepost.errors import ShapeError
from milepost.evaluation.images import DataGap, Diversity, MeanScore, Spread, energy_gap, spread
from milepost.forest import Forest
from milepost.images.digits import digits


def forest_of(image, label):
    """One root per class, its images below."""
    classes = label.unique().tolist()
    parent = [-1] * len(classes) + [classes.index(int(one)) for one in label]
    latent = torch.cat((torch.zeros(len(classes), 8, 8), image))
    asked = torch.tensor([*classes, *label.tolist()])
    return Forest.of(parent, {"latent": latent, "observation": asked})


def test_spread_by_hand():
    """Group 0 at 0, 3 and 4: distances 3, 4, 1, mean 8/3. Group 1 has one member; group 2 lies in one place."""
    points = torch.tensor([[0.0], [3.0], [4.0], [9.0], [5.0], [5.0]])
    group = torch.tensor([0, 0, 0, 1, 2, 2])
    assert float(spread(points, group, groups=3)) == pytest.approx(4 / 3)
    assert math.isnan(float(spread(points[3:4], torch.tensor([0]), groups=1)))


def test_energy_gap_by_hand():
    """{0, 1} and {10, 12}: between 9, 11, 10, 12 hence 10.5... within 1 and 2."""
    found = energy_gap(torch.tensor([[0.0], [1.0]]), torch.tensor([[10.0], [12.0]]))
    assert float(found) == pytest.approx(1 - (1 + 2) / (2 * 10.5))


def test_two_points_apart_have_gap_one_and_short_samples_are_refused():
    assert float(energy_gap(torch.zeros(3, 2), torch.ones(4, 2))) == 1
    with pytest.raises(ShapeError, match="at least two"):
        energy_gap(torch.zeros(1, 2), torch.ones(4, 2))


@pytest.mark.statistical
def test_samples_of_one_law_have_no_gap_on_average():
    draws = torch.from_numpy(keys.normal(list(range(400)), (2, 30, 3)))
    found = torch.stack([energy_gap(one[0], one[1]) for one in draws])
    assert abs(float(found.mean())) < 5 * float(found.std()) / math.sqrt(400)


def test_real_images_are_as_diverse_as_themselves_and_lie_on_the_data():
    every = digits()
    forest = forest_of(every.image[:600], every.label[:600])
    assert Diversity()(forest) == pytest.approx(1, abs=0.05)
    assert DataGap()(forest) == pytest.approx(0, abs=0.01)


def test_one_image_for_each_class_has_no_diversity_and_noise_is_far():
    every = digits()
    place = torch.tensor([int((every.label == label).nonzero()[0, 0]) for label in range(10)]).repeat_interleave(6)
    same = forest_of(every.image[place], every.label[place])
    assert Diversity()(same) == pytest.approx(0, abs=1e-6)
    noise = torch.from_numpy(keys.normal(list(range(60)), (8, 8))).float()
    assert DataGap()(forest_of(noise, every.label[place])) > 0.1
    mixed = forest_of(every.image[:600], every.label[:600].roll(1))
    assert Diversity()(mixed) > 1.1


def test_too_few_images_give_no_measure():
    one = forest_of(digits().image[:1], torch.tensor([3]))
    assert math.isnan(Diversity()(one))
    assert math.isnan(DataGap()(one))


def test_spread_and_mean_of_any_latents_by_hand():
    """Two latents of one prompt are 4 apart in 16 numbers: 4 / 4 = 1. Scores are 1 and 3, and one that failed."""
    latent = torch.zeros(3, 4, 4)
    latent[1, 0, 0] = 4.0
    forest = Forest.of(
        [-1, -1, 0, 0, 1],
        {
            "latent": torch.cat((torch.zeros(2, 4, 4), latent)),
            "observation": torch.tensor([0, 7, 0, 0, 0]),
            "reward.fit": torch.tensor([0.0, 0.0, 1.0, 3.0, torch.nan]),
            "ok.fit": torch.tensor([False, False, True, True, False]),
        },
    )
    assert Spread()(forest) == pytest.approx(1.0)
    assert MeanScore(name="fit")(forest) == pytest.approx(2.0)
