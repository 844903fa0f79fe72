"""The digits: ranges, and two halves that share nothing."""

import torch

from milepost.images.digits import CLASSES, SHAPE, digits, halves


def test_pixels_and_labels():
    every = digits()
    assert every.image.shape == (1797, *SHAPE)
    assert float(every.image.min()) == -1
    assert float(every.image.max()) == 1
    assert every.label.unique().tolist() == list(range(CLASSES))


def test_halves_share_no_image_and_lose_none():
    found = halves()
    sizes = [len(half.label) for half in (found.first, found.second)]
    assert sum(sizes) == 1797
    assert abs(sizes[0] - sizes[1]) <= 1
    both = torch.cat((found.first.image, found.second.image)).flatten(1)
    assert torch.equal(both.sum(1).sort().values, digits().image.flatten(1).sum(1).sort().values)
    assert bool((torch.bincount(found.first.label) > 70).all())
