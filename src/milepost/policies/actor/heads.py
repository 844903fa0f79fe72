"""Distributions over actions: numbered, Gaussian, and Beta on a bounded box. Draws are functions of given numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from milepost import checks, keys
from milepost.errors import ShapeError

_INSIDE = 1e-6


class Head(Protocol):
    """How a network's output becomes a distribution over actions."""

    @property
    def outputs(self) -> int:
        """Numbers that the network gives."""
        ...

    def draw(self, output: Float[Tensor, "n o"], drawn_from: Sequence[int]) -> Tensor:
        """One action per row, from one key per row."""
        ...

    def likeliest(self, output: Float[Tensor, "n o"]) -> Tensor:
        """The action of largest probability, or the mean."""
        ...

    def log_prob(self, output: Float[Tensor, "n o"], action: Tensor) -> Float[Tensor, " n"]:
        """Log-probability or log-density of actions, in nats."""
        ...

    def entropy(self, output: Float[Tensor, "n o"]) -> Float[Tensor, " n"]:
        """Entropy, in nats."""
        ...


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """One of `count` actions; outputs are logits.

    Example:
        >>> round(Numbered(count=2).entropy(torch.zeros(1, 2)).item(), 4)
        0.6931
    """

    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        checks.at_least("count", self.count, 1)

    @property
    def outputs(self) -> int:
        """One logit per action."""
        return self.count

    def draw(self, output: Float[Tensor, "n o"], drawn_from: Sequence[int]) -> Int[Tensor, " n"]:
        """The first action at which the cumulative probability exceeds a uniform number."""
        uniform = torch.from_numpy(keys.uniform(drawn_from, 1))
        below = output.double().softmax(1).cumsum(1) <= uniform
        return below.sum(1).clamp(max=self.count - 1)

    def likeliest(self, output: Float[Tensor, "n o"]) -> Int[Tensor, " n"]:
        """The action of largest logit."""
        return output.argmax(1)

    def log_prob(self, output: Float[Tensor, "n o"], action: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Nats."""
        return output.log_softmax(1).gather(1, action[:, None].long()).squeeze(1)

    def entropy(self, output: Float[Tensor, "n o"]) -> Float[Tensor, " n"]:
        """Nats, from 0 to log(count)."""
        log = output.log_softmax(1)
        return -(log.exp() * log).sum(1)


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Independent normal actions; outputs are means and logarithms of standard deviations.

    What is drawn is stored as it is; the environment sets what lies beyond its bounds to them.

    Example:
        >>> Gaussian(low=(-1.0,), high=(1.0,)).outputs
        2
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_box(self.low, self.high)

    @property
    def outputs(self) -> int:
        """Two numbers per entry."""
        return 2 * len(self.low)

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = output.chunk(2, 1)
        low, high = torch.tensor(self.low), torch.tensor(self.high)
        return (low + high) / 2 + mean * (high - low) / 2, log_std.clamp(-5, 2) + ((high - low) / 2).log()

    def draw(self, output: Float[Tensor, "n o"], drawn_from: Sequence[int]) -> Float[Tensor, "n a"]:
        """Mean and standard deviation times a normal number."""
        mean, log_std = self._parts(output)
        return mean + log_std.exp() * torch.from_numpy(keys.normal(drawn_from, (len(self.low),))).float()

    def likeliest(self, output: Float[Tensor, "n o"]) -> Float[Tensor, "n a"]:
        """The mean."""
        return self._parts(output)[0]

    def log_prob(self, output: Float[Tensor, "n o"], action: Float[Tensor, "n a"]) -> Float[Tensor, " n"]:
        """Nats per unit of volume of the box."""
        mean, log_std = self._parts(output)
        apart = (action - mean) / log_std.exp()
        return -(apart.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(1)

    def entropy(self, output: Float[Tensor, "n o"]) -> Float[Tensor, " n"]:
        """Nats."""
        return (self._parts(output)[1] + (1 + math.log(2 * math.pi)) / 2).sum(1)


@dataclass(frozen=True, kw_only=True)
class Beta:
    """Independent Beta actions on a box, with both shapes at least 1, so that no density is infinite.

        shapes = 1 + softplus(outputs)

    Source: Chou, Maturana, Scherer 2017; CaRL's policy.   Limits: outputs of -infinity are uniform.

    Example:
        >>> Beta(low=(0.0,), high=(2.0,)).likeliest(torch.zeros(1, 2)).item()
        1.0
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_box(self.low, self.high)

    @property
    def outputs(self) -> int:
        """Two numbers per entry."""
        return 2 * len(self.low)

    def _law(self, output: Tensor) -> torch.distributions.Beta:
        first, second = (1 + functional.softplus(output)).chunk(2, 1)
        return torch.distributions.Beta(first, second, validate_args=False)

    def _scale(self) -> tuple[Tensor, Tensor]:
        low, high = torch.tensor(self.low), torch.tensor(self.high)
        return low, high - low

    def draw(self, output: Float[Tensor, "n o"], drawn_from: Sequence[int]) -> Float[Tensor, "n a"]:
        """One draw of NumPy's Beta sampler from each key's stream."""
        first, second = (1 + functional.softplus(output)).detach().double().chunk(2, 1)
        pairs = zip(drawn_from, first.numpy(), second.numpy(), strict=True)
        share = [torch.from_numpy(keys.generator(int(key)).beta(a, b)) for key, a, b in pairs]
        low, size = self._scale()
        inside = torch.stack(share).float() if share else torch.zeros(0, len(self.low))
        return low + size * inside.clamp(_INSIDE, 1 - _INSIDE)

    def likeliest(self, output: Float[Tensor, "n o"]) -> Float[Tensor, "n a"]:
        """The mean."""
        low, size = self._scale()
        return low + size * self._law(output).mean

    def log_prob(self, output: Float[Tensor, "n o"], action: Float[Tensor, "n a"]) -> Float[Tensor, " n"]:
        """Nats per unit of volume of the box."""
        low, size = self._scale()
        share = ((action - low) / size).clamp(_INSIDE, 1 - _INSIDE)
        return (self._law(output).log_prob(share) - size.log()).sum(1)

    def entropy(self, output: Float[Tensor, "n o"]) -> Float[Tensor, " n"]:
        """Nats."""
        return (self._law(output).entropy() + self._scale()[1].log()).sum(1)


def _check_box(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    if not low or len(low) != len(high) or not all(a < b for a, b in zip(low, high, strict=True)):
        raise ShapeError(f"The box from {low} to {high} is none: expected as many lower as upper bounds, each smaller.")
