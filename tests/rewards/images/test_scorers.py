"""Scores of images: known images, ranges, gradients where they are promised."""

import pytest
import torch

from milepost.images.digits import digits
from milepost.rewards.images.scorers import AtLeast, ClassLogProb, Compressibility, Confidence, NearData, Recognised

SCORERS = (ClassLogProb(), Confidence(), Recognised(), NearData(), Compressibility())


@pytest.mark.parametrize("scorer", SCORERS)
def test_values_lie_in_the_stated_range(scorer):
    every = digits()
    value = scorer(torch.cat((every.image[:50], 3 * every.image[:50])), every.label[:50].repeat(2))
    low, high = scorer.range
    assert value.shape == (100,)
    assert bool(((value >= low) & (value <= high)).all())


@pytest.mark.parametrize("scorer", [one for one in SCORERS if one.differentiable])
def test_differentiable_scores_have_a_gradient(scorer):
    image = (digits().image[:4] + 0.1).requires_grad_()
    scorer(image, digits().label[:4]).sum().backward()
    assert bool(image.grad.any())


def test_the_right_class_scores_more_than_a_wrong_one():
    every = digits()
    image, label = every.image[:200], every.label[:200]
    for scorer in (ClassLogProb(), Confidence(), Recognised()):
        assert float((scorer(image, label) - scorer(image, (label + 1) % 10)).mean()) > 0.8


def test_a_copy_of_the_data_is_nearest_and_blank_paper_smallest():
    every = digits()
    assert float(NearData()(every.image[:5], every.label[:5]).min()) > -1e-2
    blank, busy = -torch.ones(1, 8, 8), every.image[:1]
    label = torch.zeros(1, dtype=torch.int64)
    assert float(Compressibility()(blank, label)) > float(Compressibility()(busy, label))


def test_success_is_a_score_of_at_least_the_bar():
    def half(image, label):
        return torch.tensor([0.4, 0.5, 0.6, torch.nan])

    found = AtLeast(scorer=half, bar=0.5)(torch.zeros(4, 8, 8), torch.zeros(4, dtype=torch.int64))
    assert found[:3].tolist() == [0, 1, 1]
    assert bool(found[3].isnan())
