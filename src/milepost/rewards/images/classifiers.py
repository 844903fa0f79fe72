"""Two classifiers of the digits that share neither an image nor an architecture: one to reward, one to judge.

A policy that learns to please the first and not to draw digits is found out by the second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from milepost import keys
from milepost.images import cached
from milepost.images.digits import CLASSES, SIDE, Digits, halves

STEPS = 300
_RATE = 3e-3
_NOISE = 0.3  # standard deviation added to pixels in training, so that sampled images are no foreign world


class Perceptron(nn.Module):
    """One hidden layer over all pixels."""

    def __init__(self) -> None:
        """Lay out the layers; weights are drawn by `drawn`."""
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.hidden, self.out = nn.Linear(SIDE * SIDE, 96), nn.Linear(96, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Log-probability of each class, (n, 10)."""
        return self.out(nn.functional.silu(self.hidden(image.flatten(1)))).log_softmax(1)


class Convolutional(nn.Module):
    """Two layers of 3 x 3 filters, the second in steps of two, and a linear layer."""

    def __init__(self) -> None:
        """Lay out the layers; weights are drawn by `drawn`."""
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.fine, self.coarse = nn.Conv2d(1, 12, 3, padding=1), nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.out = nn.Linear(24 * (SIDE // 2) ** 2, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Log-probability of each class, (n, 10)."""
        fine = nn.functional.silu(self.fine(image[:, None]))
        return self.out(nn.functional.silu(self.coarse(fine)).flatten(1)).log_softmax(1)


def drawn(network: nn.Module, key: int) -> nn.Module:
    """The network with initial weights from a key: normal, scaled by the number of inputs; biases 0."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.dim() == 1:
                value.zero_()
                continue
            normal = torch.from_numpy(keys.normal([keys.fold(key, name)], tuple(value.shape))[0])
            value.copy_(normal * value[0].numel() ** -0.5)
    return network


def fitted(network: nn.Module, data: Digits, key: int) -> dict[str, Tensor]:
    """Train a classifier.

    Args:
        network: from images to log-probabilities of classes; changed in place.
        data: what it learns from.
        key: decides the batches.

    Returns:
        The weights by name.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE, weight_decay=1e-4)
    stream = keys.generator(key)
    for _ in range(STEPS):
        chosen = torch.from_numpy(stream.integers(len(data.label), size=128))
        noise = torch.from_numpy(stream.standard_normal(data.image[chosen].shape)).float()
        told = network(data.image[chosen] + _NOISE * noise)
        loss = nn.functional.nll_loss(told, data.label[chosen])
        optimiser.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
    return dict(network.state_dict())


def _loaded(name: str, make: Callable[[], nn.Module], data: Digits) -> nn.Module:
    key = keys.fold(keys.root(0), "classifier", name)
    recipe: dict[str, object] = {"steps": STEPS, "rate": _RATE, "noise": _NOISE}
    found = cached.weights(f"digits-{name}", recipe, lambda: fitted(drawn(make(), key), data, keys.fold(key, "fit")))
    network = make()
    network.load_state_dict(found)
    return network.requires_grad_(requires_grad=False).eval()


@cache
def rewarding() -> nn.Module:
    """The classifier that rewards: a perceptron that saw the first half of the images."""
    return _loaded("rewarding", Perceptron, halves().first)


@cache
def judging() -> nn.Module:
    """The classifier that judges, and that no training sees: convolutional, from the second half of the images."""
    return _loaded("judging", Convolutional, halves().second)


def log_prob(network: nn.Module, image: Float[Tensor, "n 8 8"], label: Tensor) -> Float[Tensor, " n"]:
    """Log-probability that a classifier gives to the asked class.

        ln p(label | image)

    Args:
        network: from images to log-probabilities of classes.
        image: pixels in about [-1, 1].
        label: class of each image, int64.

    Returns:
        Nats, at most 0; differentiable in the image.
    """
    return cast("Tensor", network(image)).gather(1, label[:, None]).squeeze(1)
