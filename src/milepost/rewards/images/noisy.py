"""A reward of noisy latents: how likely a class is, seen through the noise of a time. It has a gradient to steer by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal, Protocol, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from milepost import checks, keys
from milepost.forest import Forest
from milepost.images import cached
from milepost.images.digits import CLASSES, SIDE, halves
from milepost.part import Scores
from milepost.rewards.images.classifiers import drawn
from milepost.rewards.images.reward import asked
from milepost.rewards.images.scorers import LOWEST

STEPS = 1500
_RATE, _BATCH, _WIDTH, _FREQUENCIES = 2e-3, 256, 128, 6


class ThroughNoise(nn.Module):
    """A perceptron over pixels and time, with one residual layer."""

    def __init__(self) -> None:
        """Lay out the layers; weights are drawn by `classifiers.drawn`."""
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.pixels, self.time = nn.Linear(SIDE * SIDE, _WIDTH), nn.Linear(2 * _FREQUENCIES, _WIDTH)
        self.hidden, self.out = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, CLASSES)

    def forward(self, latent: Tensor, time: Tensor) -> Tensor:
        """Log-probability of each class, (n, 10)."""
        angle = time[:, None] * (math.pi * torch.arange(1, _FREQUENCIES + 1) / 2)
        moment = self.time(torch.cat((angle.sin(), angle.cos()), 1))
        first = nn.functional.silu(self.pixels(latent.flatten(1)) + moment)
        return self.out(first + nn.functional.silu(self.hidden(first) + moment)).log_softmax(1)


def _fitted(key: int) -> dict[str, Tensor]:
    """Train on the first half of the digits, mixed with noise as a rectified flow mixes them."""
    network, data = drawn(ThroughNoise(), key), halves().first
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    stream = keys.generator(keys.fold(key, "fit"))
    for _ in range(STEPS):
        chosen = torch.from_numpy(stream.integers(len(data.label), size=_BATCH))
        noise = torch.from_numpy(stream.standard_normal((_BATCH, SIDE, SIDE))).float()
        time = torch.from_numpy(stream.random(_BATCH)).float()
        latent = (1 - time)[:, None, None] * data.image[chosen] + time[:, None, None] * noise
        loss = nn.functional.nll_loss(network(latent, time), data.label[chosen])
        optimiser.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
        schedule.step()
    return dict(network.state_dict())


@cache
def through_noise() -> nn.Module:
    """The classifier of noisy digits; it saw the half of the images that the rewarding classifier saw."""
    key = keys.fold(keys.root(0), "classifier", "through noise")
    recipe: dict[str, object] = {"steps": STEPS, "rate": _RATE, "batch": _BATCH, "width": _WIDTH}
    network = ThroughNoise()
    network.load_state_dict(cached.weights("digits-through-noise", recipe, lambda: _fitted(key)))
    return network.requires_grad_(requires_grad=False).eval()


@dataclass(frozen=True, kw_only=True)
class NoisyClass:
    """ln p(class | noisy latent, time) in nats, differentiable. Implements `policies.flow.guidance.Value`.

    For images of the data it is ln E[p(class | x_0) | x_t]: with beta = 1 the value of which exact guidance asks the
    gradient.
    """

    range = (LOWEST, 0.0)
    beta: ClassVar[float] = 1.0
    """The only one for which it is that value: exp(R / beta) with another is no probability of a class."""

    def __call__(
        self, latent: Float[Tensor, "n 8 8"], time: Float[Tensor, " n"], condition: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """One value per latent."""
        told = through_noise()(latent, time).gather(1, condition[:, None]).squeeze(1)
        return told.clamp(min=LOWEST, max=0)


class Value(Protocol):
    """A reward of noisy latents with a range."""

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        ...

    def __call__(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """One value for each latent, at its time, for what was asked for."""
        ...


Taken: TypeAlias = Literal["after", "before", "gain"]
"""Where a step's process reward is read: at the latent it led to, at the one it left, or the difference."""


@dataclass(frozen=True, kw_only=True)
class ProcessScore:
    """Value of the noisy latent at a step. Implements `part.Reward`.

    Read "before" the step, as the released code of Euphonium does, it does not depend on what the step did: as credit
    it is noise. The draw of the first noise has no step before it and no reward there.

    Source: Euphonium, 2026, the process reward; its released code for "before".

    Example:
        >>> ProcessScore(taken="gain").range
        (-20.0, 20.0)
    """

    value: Value = field(default_factory=NoisyClass)
    name: str = "process"
    """Name of the columns it fills."""
    taken: Taken = "after"
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check where it is read."""
        checks.one_of("taken", self.taken, ("after", "before", "gain"))

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest reward."""
        low, high = self.value.range
        return (low - high, high - low) if self.taken == "gain" else (low, high)

    @torch.no_grad()
    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the latents of the rows, or of their parents."""
        label = asked(forest, rows)
        before = forest.parent[rows]
        ok = forest.parent[before] >= 0
        if self.taken == "after":
            ok = torch.ones_like(ok)
        value = torch.zeros(len(rows))
        if self.taken != "before":
            value += self.value(forest["latent"][rows], forest["time"][rows], label)
        if self.taken != "after":
            left = before[ok]
            value[ok] += (1 if self.taken == "before" else -1) * self.value(
                forest["latent"][left], forest["time"][left], label[ok]
            )
        reasons = [None if fine else "not_run: no step before the first noise" for fine in ok.tolist()]
        return Scores(values=value.where(ok, torch.nan), ok=ok, reasons=reasons)
