"""Two small generative models of 8 x 8 digits, conditioned on the class: a rectified flow and a diffusion (DDPM).

They are trained on the spot, in some seconds on one core, and kept in the user's cache folder. As in captioned images
from the web, many labels are wrong, here on purpose: half are drawn anew. So the models draw clean digits, and the one
asked for about half of the time; that is what a reward can teach.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from milepost import keys
from milepost.errors import unknown_name
from milepost.images import cached
from milepost.images.digits import CLASSES, SHAPE, digits
from milepost.policies.flow.denoiser import NOTHING, Denoiser
from milepost.policies.flow.kernel import DiffusionKernel, FlowKernel, Kernel, across, kept
from milepost.policies.flow.process import Process

KERNELS: Mapping[str, Kernel] = {"digits-flow": FlowKernel(), "digits-ddpm": DiffusionKernel()}
"""Models by name, and what their networks predict: the flow a velocity, the diffusion the noise."""
_FREQUENCIES = 8


class DigitNetwork(nn.Module):
    """Perceptron over pixels, time and class with two residual layers."""

    shape = SHAPE

    def __init__(self, width: int, key: int) -> None:
        """Draw the initial weights from a key."""
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        size = SHAPE[0] * SHAPE[1]
        self.pixels = nn.Linear(size, width)
        self.time = nn.Linear(2 * _FREQUENCIES, width)
        self.label = nn.Embedding(CLASSES + 1, width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, size)
        with torch.no_grad():
            for name, value in self.named_parameters():
                drawn = torch.from_numpy(keys.normal([keys.fold(key, name)], tuple(value.shape))[0])
                scale = 0.0 if name.endswith("bias") else (value.shape[1] if "label" not in name else 4) ** -0.5
                value.copy_(scale * drawn)

    def forward(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Prediction, shaped like `latent`."""
        angle = time[:, None] * (math.pi * torch.arange(1, _FREQUENCIES + 1) / 2)
        moment = self.time(torch.cat((angle.sin(), angle.cos()), 1))
        known = self.label(torch.where(condition == NOTHING, CLASSES, condition))
        hidden = nn.functional.silu(self.pixels(latent.flatten(1)) + moment + known)
        hidden = hidden + nn.functional.silu(self.first(hidden) + moment)
        hidden = hidden + nn.functional.silu(self.second(hidden) + known)
        return self.out(hidden).view_as(latent)


@dataclass(frozen=True, kw_only=True)
class Training:
    """How long and how the networks are trained."""

    steps: int = 1200
    batch: int = 256
    width: int = 192
    learning_rate: float = 2e-3
    dropped: float = 0.1
    """Share of images whose class is not told, for guidance."""
    wrong: float = 0.5
    """Share of labels that are replaced by a class drawn from all."""


def kernel_of(name: str) -> Kernel:
    """Kernel of a model of the digits.

    Args:
        name: "digits-flow" or "digits-ddpm".

    Returns:
        What its network predicts, on which path.

    Raises:
        UnknownName: no such model.
    """
    if name not in KERNELS:
        raise unknown_name("flow model", name, KERNELS)
    return KERNELS[name]


def load(name: str, *, process: Process, training: Training | None = None) -> Denoiser:
    """Load a model of the digits as a policy; it is trained first where that was not done yet.

    Args:
        name: "digits-flow" or "digits-ddpm".
        process: how it is sampled.
        training: how it was trained.

    Returns:
        The policy.

    Raises:
        UnknownName: no such model.
        MissingExtra: scikit-learn, which brings the images, is not installed.
    """
    kernel, chosen = kernel_of(name), training or Training()
    found = cached.weights(name, asdict(chosen), lambda: train(name, chosen))
    network = DigitNetwork(chosen.width, 0)
    network.load_state_dict(found)
    return Denoiser(network=network, kernel=kernel, process=process)


@dataclass(frozen=True, kw_only=True)
class Load:
    """A model of the digits by its name, which is loaded when it is called for.

    Example:
        >>> Load(process=Process()).name
        'digits-flow'
    """

    process: Process
    name: str = "digits-flow"

    def __post_init__(self) -> None:
        """Check that the model exists and has room for the noise, which loading it would find out later."""
        self.process.check(kernel_of(self.name))

    def __call__(self) -> Denoiser:
        """Load it, see `load`."""
        return load(self.name, process=self.process)


def train(name: str, training: Training) -> dict[str, Tensor]:
    """Train a model of the digits on all images.

    Args:
        name: "digits-flow" or "digits-ddpm".
        training: how.

    Returns:
        The weights by name.
    """
    key = keys.fold(keys.root(0), "train", name)
    network, every = DigitNetwork(training.width, key), digits()
    optimiser = torch.optim.Adam(network.parameters(), lr=training.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.steps)
    stream = keys.generator(keys.fold(key, "batches"))
    label = _captions(every.label, training.wrong, key)
    for _ in range(training.steps):
        chosen = torch.from_numpy(stream.integers(len(every.label), size=training.batch))
        noise = torch.from_numpy(stream.standard_normal((training.batch, *SHAPE))).float()
        time = torch.from_numpy(stream.random(training.batch)).float()
        told = torch.from_numpy(stream.random(training.batch)) >= training.dropped
        condition = torch.where(told, label[chosen], NOTHING)
        loss = _loss(name, network, (every.image[chosen], noise), time, condition)
        optimiser.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
        schedule.step()
    return {label: value.detach() for label, value in network.state_dict().items()}


def _captions(label: Tensor, wrong: float, key: int) -> Tensor:
    """Labels of which a share is drawn anew, the same throughout the training."""
    stream = keys.generator(keys.fold(key, "captions"))
    drawn = torch.from_numpy(stream.integers(CLASSES, size=len(label)))
    return torch.where(torch.from_numpy(stream.random(len(label)) < wrong), drawn, label)


def _loss(name: str, network: DigitNetwork, ends: tuple[Tensor, Tensor], time: Tensor, condition: Tensor) -> Tensor:
    """Squared error of the velocity of a rectified flow, or of the noise of a diffusion."""
    data, noise = ends
    if name == "digits-flow":
        latent = across(1 - time, data) * data + across(time, data) * noise
        return (network(latent, time, condition) - (noise - data)).square().mean()
    share = kept(time)
    latent = across(share.sqrt(), data) * data + across((1 - share).sqrt(), data) * noise
    return (network(latent, time, condition) - noise).square().mean()
