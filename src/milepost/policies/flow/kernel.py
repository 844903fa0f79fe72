"""The Gaussian transition of one denoising step: mean, standard deviation, sample, log-probability, divergence.

Time t is 1 at pure noise and 0 at data. A step goes from t to t' < t and is N(mean, std^2 I); where std is 0 it is
deterministic and has no density. Kernels differ in what the network predicts and in the path from noise to data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost.errors import SettingError, ShapeError

Reduction: TypeAlias = Literal["mean", "sum"]
"""How the log-probabilities of the elements of a latent become one number. "sum" is the log-density; "mean" is that
divided by the number of elements, the convention of Flow-GRPO and DanceGRPO, whose clip ranges belong to it."""


class Kernel(Protocol):
    """How a network's output becomes the mean and the standard deviation of a step."""

    def std(self, time: Tensor, after: Tensor, level: Tensor) -> Tensor:
        """Standard deviation of a step from `time` to `after` at a noise level, one number per step."""
        ...

    def mean(self, latent: Tensor, output: Tensor, time: Tensor, after: Tensor, std: Tensor) -> Tensor:
        """Mean of a step with the given standard deviation."""
        ...

    def clean(self, latent: Tensor, output: Tensor, time: Tensor) -> Tensor:
        """Clean latent that the network's output at `latent` speaks for."""
        ...

    def tilted(self, output: Tensor, rise: Tensor, time: Tensor) -> Tensor:
        """Output where the score of the law of latents is larger by `rise`."""
        ...

    def towards(self, latent: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """Output that speaks for a clean latent: the inverse of `clean`."""
        ...


def across(value: Float[Tensor, " n"], like: Tensor) -> Tensor:
    """One number per row, shaped so that it multiplies rows of `like`."""
    return value.reshape(len(value), *[1] * (like.dim() - 1))


def flow_mean(
    latent: Tensor, velocity: Tensor, time: Float[Tensor, " n"], after: Float[Tensor, " n"], std: Float[Tensor, " n"]
) -> Tensor:
    """Mean of a step of the stochastic rectified flow.

        mean = x (1 - s^2 D / (2 t)) - v (1 + s^2 (1 - t) / (2 t)) D,   D = t - t',  s^2 = std^2 / D

    The drift holds the score -(x + (1 - t) v) / t, so that every s keeps the marginals of the flow.

    Args:
        latent: x at time t, (n, ...).
        velocity: v = noise - data as predicted at (x, t), like `latent`.
        time: t in (0, 1].
        after: t' in [0, t).
        std: standard deviation of the step, at least 0.

    Returns:
        Like `latent`.

    Raises:
        SettingError: so much noise in so long a step that the coefficient of x turns negative.

    Source: Flow-GRPO, arXiv:2505.05470.   Limits: std = 0 is Euler's step x - v D.
    """
    pull = std.square() / (2 * time)
    if bool((pull >= 1).any()):
        row = int((pull >= 1).nonzero()[0, 0])
        raise SettingError(
            f"The step from time {float(time[row]):.3g} to {float(after[row]):.3g} with standard deviation "
            f"{float(std[row]):.3g} adds more noise than it can take back: expected std^2 < 2 t. Lower the noise "
            "level, or take more steps."
        )
    coefficient = (time - after) + pull * (1 - time)
    return latent * across(1 - pull, latent) - velocity * across(coefficient, latent)


def diffusion_mean(
    latent: Tensor, noise: Tensor, kept: Float[Tensor, " n"], later: Float[Tensor, " n"], std: Float[Tensor, " n"]
) -> Tensor:
    """Mean of a step of DDIM.

        mean = sqrt(a') x0 + sqrt(1 - a' - std^2) e,   x0 = (x - sqrt(1 - a) e) / sqrt(a)

    Args:
        latent: x, (n, ...).
        noise: e as predicted at x, like `latent`.
        kept: a, share of the data's variance in x, in (0, 1).
        later: a', the same after the step, above a.
        std: standard deviation of the step; its square is at most 1 - a'.

    Returns:
        Like `latent`.

    Raises:
        SettingError: more noise than there is room for after the step.

    Source: DDIM, arXiv:2010.02502, eq. 12.   Limits: std = 0 is the deterministic DDIM step.
    """
    room = 1 - later - std.square()
    if bool((room < -1e-6).any()):
        raise SettingError(
            f"A step adds noise of standard deviation {float(std.max()):.3g}, more than a sample has after it: "
            "expected a noise level of at most 1; noise.EvenNoise(level=1.0) is DDPM's own."
        )
    clean = (latent - across((1 - kept).sqrt(), latent) * noise) / across(kept.sqrt(), latent)
    return across(later.sqrt(), latent) * clean + across(room.clamp(min=0).sqrt(), latent) * noise


def sample(mean: Tensor, std: Float[Tensor, " n"], noise: Tensor) -> Tensor:
    """Draw from N(mean, std^2 I).

        x = mean + std noise

    Args:
        mean: (n, ...).
        std: one number per row, at least 0.
        noise: standard normal numbers, like `mean`.

    Returns:
        Like `mean`; the mean itself where std is 0.
    """
    return mean + across(std, mean) * noise


def log_prob(latent: Tensor, mean: Tensor, std: Float[Tensor, " n"], *, reduction: Reduction) -> Float[Tensor, " n"]:
    """Log-probability of a latent under N(mean, std^2 I).

        sum over elements of -(x - mean)^2 / (2 std^2) - ln std - ln(2 pi) / 2;   "mean": divided by their number

    Args:
        latent: x, (n, ...).
        mean: like `latent`.
        std: one number per row, above 0.
        reduction: "sum" or "mean" over the elements of a row.

    Returns:
        Nats, one number per row.

    Raises:
        ShapeError: a standard deviation of 0: a deterministic step has no density.

    Source: Flow-GRPO, arXiv:2505.05470; its code takes the mean.
    """
    if not bool((std > 0).all()):
        raise ShapeError(
            f"log_prob got {int((std <= 0).sum())} of {len(std)} steps with standard deviation 0: a deterministic step "
            "has no density. Ask only about rows whose `stochastic` is true."
        )
    apart = ((latent - mean) / across(std, mean)).square().flatten(1)
    whole = -0.5 * apart.sum(1) - apart.shape[1] * (std.log() + 0.5 * math.log(2 * math.pi))
    return whole / apart.shape[1] if reduction == "mean" else whole


def kl(mean: Tensor, other: Tensor, std: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Divergence of N(mean, std^2 I) from N(other, std^2 I).

        KL = sum over elements of (mean - other)^2 / (2 std^2)

    Args:
        mean: (n, ...).
        other: like `mean`.
        std: one number per row, above 0, common to both.

    Returns:
        Nats, one number per row.

    Source: Flow-GRPO, arXiv:2505.05470. Its code divides by 2 s^2 without the length of the step.
    """
    return ((mean - other) / across(std, mean)).square().flatten(1).sum(1) / 2


@dataclass(frozen=True, kw_only=True)
class FlowKernel:
    """Steps of a rectified flow: x_t = (1 - t) data + t noise, the network predicts the velocity noise - data.

    A noise level is sigma_t of the stochastic differential equation: std = sigma_t sqrt(t - t').

    Example:
        >>> one = torch.ones(1)
        >>> float(FlowKernel().std(one, one / 2, one))
        0.7071067690849304
    """

    def std(self, time: Tensor, after: Tensor, level: Tensor) -> Tensor:
        """Standard deviation of a step."""
        return level * (time - after).sqrt()

    def mean(self, latent: Tensor, output: Tensor, time: Tensor, after: Tensor, std: Tensor) -> Tensor:
        """Mean of a step, see `flow_mean`."""
        return flow_mean(latent, output, time, after, std)

    def clean(self, latent: Tensor, output: Tensor, time: Tensor) -> Tensor:
        """Clean latent that a velocity speaks for: x - t v."""
        return latent - across(time, latent) * output

    def tilted(self, output: Tensor, rise: Tensor, time: Tensor) -> Tensor:
        """Velocity where the law's score is larger by `rise`: v - t / (1 - t) rise, for t below 1."""
        return output - across(time / (1 - time), output) * rise

    def towards(self, latent: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """Velocity that leads straight to a clean latent: (x - x0) / t, for t above 0."""
        return (latent - clean) / across(time, latent)


@dataclass(frozen=True, kw_only=True)
class DiffusionKernel:
    """Steps of a variance-preserving diffusion whose network predicts the noise: DDPM at level 1, DDIM at level 0.

    std = level sqrt((1 - a') / (1 - a)) sqrt(1 - a / a') with `kept` as a(t).

    Source: DDIM, arXiv:2010.02502, eq. 16; the cosine path of arXiv:2102.09672.

    Example:
        >>> float(DiffusionKernel().std(torch.tensor([0.5]), torch.tensor([0.4]), torch.tensor([0.0])))
        0.0
    """

    def std(self, time: Tensor, after: Tensor, level: Tensor) -> Tensor:
        """Standard deviation of a step."""
        now, then = kept(time), kept(after)
        return level * ((1 - then) / (1 - now) * (1 - now / then)).clamp(min=0).sqrt()

    def mean(self, latent: Tensor, output: Tensor, time: Tensor, after: Tensor, std: Tensor) -> Tensor:
        """Mean of a step, see `diffusion_mean`."""
        return diffusion_mean(latent, output, kept(time), kept(after), std)

    def clean(self, latent: Tensor, output: Tensor, time: Tensor) -> Tensor:
        """Clean latent that a predicted noise speaks for: (x - sqrt(1 - a) e) / sqrt(a)."""
        share = kept(time)
        return (latent - across((1 - share).sqrt(), latent) * output) / across(share.sqrt(), latent)

    def tilted(self, output: Tensor, rise: Tensor, time: Tensor) -> Tensor:
        """Predicted noise where the law's score is larger by `rise`: e - sqrt(1 - a) rise."""
        return output - across((1 - kept(time)).sqrt(), output) * rise

    def towards(self, latent: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """Noise that would have made x from a clean latent: (x - sqrt(a) x0) / sqrt(1 - a)."""
        share = kept(time)
        return (latent - across(share.sqrt(), latent) * clean) / across((1 - share).sqrt(), latent)


def kept(time: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Share of the data's variance at a time of the variance-preserving path.

        a(t) = cos^2(0.92 pi t / 2), at most 0.9999

    Args:
        time: in [0, 1].

    Returns:
        In (0, 1), falling in time; 0.92 keeps 1.6% of the data at t = 1, so that x0 can be formed in few steps.

    Source: arXiv:2102.09672, eq. 17.
    """
    return (time * (0.92 * math.pi / 2)).cos().square().clamp(max=0.9999)


def stochastic(std: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Steps that have a density: those with a standard deviation above 0."""
    return std > torch.zeros_like(std)
