"""Latents are decoded before they are scored; what is said of the score stays true."""

import torch

from milepost.rewards.images.pictures import Decoded, coloured
from milepost.rewards.images.scorers import ClassLogProb, Compressibility


def test_the_decoded_picture_is_scored():
    seen = []

    class Mean:
        range, differentiable = (-1.0, 1.0), True

        def __call__(self, image, label):
            seen.append((image.shape, label.tolist()))
            return image.mean((1, 2))

    scorer = Decoded(decode=lambda latent: latent[:, 0] / 2, scorer=Mean())
    latent = torch.ones(2, 4, 8, 8, requires_grad=True)
    found = scorer(latent, torch.tensor([1, 0]))
    found.sum().backward()
    assert found.tolist() == [0.5, 0.5]
    assert seen == [((2, 8, 8), [1, 0])]
    assert float(latent.grad[:, 0].sum()) > 0
    assert not bool(latent.grad[:, 1:].any())


def test_range_and_gradient_are_those_of_the_scorer():
    for scorer in (ClassLogProb(), Compressibility()):
        wrapped = Decoded(decode=lambda latent: latent, scorer=scorer)
        assert (wrapped.range, wrapped.differentiable) == (scorer.range, scorer.differentiable)


def test_compressibility_takes_colours():
    flat, busy = torch.zeros(1, 3, 16, 16), torch.linspace(-1, 1, 768).view(1, 3, 16, 16)
    label = torch.zeros(1, dtype=torch.int64)
    assert float(Compressibility()(flat, label)) > float(Compressibility()(busy, label))


def test_shades_are_three_equal_colours():
    image = torch.linspace(-1, 1, 24).view(2, 3, 4)
    found = coloured(image)
    assert found.shape == (2, 3, 3, 4)
    assert all(torch.equal(found[:, channel], image) for channel in range(3))
