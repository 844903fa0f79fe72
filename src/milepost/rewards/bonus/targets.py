"""What a predictor is asked to learn, drawn anew at every visit, and what its error then says of the number of visits.

RND, RDD, DRND and coin flips are four pairs of a target and a readout; everything else is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks


class Targets(Protocol):
    """Draws targets around the outputs of frozen networks."""

    @property
    def networks(self) -> int:
        """Number of frozen networks."""
        ...

    def draw(self, frozen: Float[Tensor, "k n d"], stream: np.random.Generator) -> Float[Tensor, "n d"]:
        """One target per state, from the outputs of the frozen networks."""
        ...


class Readout(Protocol):
    """Bonus of states, from what the predictor and the frozen networks say of them."""

    def __call__(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:
        """One bonus per state, at least 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Targets around one frozen network: a fixed point (RND) or a Gaussian (RDD).

        c(s) = mu(s) + sigma eps,   eps ~ N(0, I) at every visit

    Source: RDD.   Limits: sigma = 0 is random network distillation, arXiv:1810.12894.
    """

    sigma: float = 1.0

    @property
    def networks(self) -> int:
        """One."""
        return 1

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("sigma", self.sigma)

    def draw(self, frozen: Float[Tensor, "k n d"], stream: np.random.Generator) -> Float[Tensor, "n d"]:
        """Outputs of the frozen network, with noise unless sigma is 0."""
        if self.sigma == 0:
            return frozen[0]
        noise = torch.from_numpy(stream.standard_normal(frozen.shape[1:])).to(frozen.dtype)
        return frozen[0] + self.sigma * noise


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """One of several frozen networks, drawn uniformly at every visit of a state.

    Source: DRND, arXiv:2401.09750.
    """

    networks: int = 5

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("networks", self.networks, 2)

    def draw(self, frozen: Float[Tensor, "k n d"], stream: np.random.Generator) -> Float[Tensor, "n d"]:
        """Outputs of a network per state."""
        chosen = torch.from_numpy(stream.integers(len(frozen), size=frozen.shape[1]))
        return frozen[chosen, torch.arange(frozen.shape[1])]


@dataclass(frozen=True, kw_only=True)
class CoinFlips:
    """Fair coins, -1 or 1, at every visit: the best prediction after n visits has a mean square of 1 / n.

    Source: Lobel, Bagaria and Konidaris 2023, arXiv:2306.03186.
    """

    @property
    def networks(self) -> int:
        """One, which only says how many coins there are."""
        return 1

    def draw(self, frozen: Float[Tensor, "k n d"], stream: np.random.Generator) -> Float[Tensor, "n d"]:
        """Coins; the frozen network only says how many."""
        return torch.from_numpy(2.0 * stream.integers(2, size=frozen.shape[1:]) - 1).to(frozen.dtype)


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Mean squared distance of the predictor to the frozen network itself, not to the noisy target.

        b(s) = || f(s) - mu(s) ||^2 / d

    With the best prediction after n Gaussian targets its mean is sigma^2 / n.

    Source: RDD, eq. 11; RND.
    """

    def __call__(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:
        """Squared output units."""
        return (predicted - frozen[0]).square().mean(1)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Count-style bonus: 1 / sqrt of the number of visits that the distance stands for.

        n(s) = clip(sigma^2 / distance, 1, 1e6),   b(s) = n(s)^(-1/2)

    Source: milepost, on the statistic of RDD.
    """

    sigma: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        checks.positive("sigma", self.sigma)

    def count(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:
        """Number of visits that the distance stands for, in [1, 1e6]."""
        return pseudo_count(Distance()(predicted, frozen), sigma=self.sigma)

    def __call__(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:
        """In [1e-3, 1]."""
        return self.count(predicted, frozen).rsqrt()


def pseudo_count(distance: Float[Tensor, " n"], *, sigma: float) -> Float[Tensor, " n"]:
    """Visits that a distance to the mean of the targets stands for.

        n = clip(sigma^2 / distance, 1, 1e6)

    Args:
        distance: mean squared distance of the predictor to the mean of its targets.
        sigma: standard deviation of the targets, above 0.

    Returns:
        Visits.

    Source: RDD, from E distance = sigma^2 / n.
    """
    return (sigma**2 / distance.clamp(min=sigma**2 * 1e-6)).clamp(1.0, 1e6)


@dataclass(frozen=True, kw_only=True)
class MomentMatched:
    """Distance to the mean of several frozen networks, and how much of their spread the predictor shows.

        b(s) = share || f - m ||^2 + (1 - share) sum_j sqrt(clip(|f_j^2 - m_j^2| / (B_j - m_j^2), 1e-6, 1))

    m and B are mean and mean square over the frozen networks.

    Source: DRND, arXiv:2401.09750, eq. 12, as its code computes it.
    """

    share: float = 0.95

    def __post_init__(self) -> None:
        """Check the range."""
        checks.within("share", self.share, 0.0, 1.0)

    def __call__(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:
        """Squared output units plus a number of outputs."""
        mean, square = frozen.mean(0), frozen.square().mean(0)
        spread = (square - mean.square()).clamp(min=torch.finfo(mean.dtype).tiny)
        shown = ((predicted.square() - mean.square()).abs() / spread).clamp(1e-6, 1).sqrt().sum(1)
        return self.share * (predicted - mean).square().sum(1) + (1 - self.share) * shown


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Root mean square of the prediction: about 1 / sqrt(n) for coin flips.

    Source: Lobel, Bagaria and Konidaris 2023, arXiv:2306.03186, eq. 5.
    """

    def __call__(self, predicted: Float[Tensor, "n d"], frozen: Float[Tensor, "k n d"]) -> Float[Tensor, " n"]:  # noqa: ARG002
        """At least 0."""
        return predicted.square().mean(1).sqrt()
