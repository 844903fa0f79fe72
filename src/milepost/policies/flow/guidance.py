"""Steering a sampler by the gradient of a reward of latents that are still noisy.

The law wanted is p(x_0) exp(R(x_0) / beta). Two parts differ in what the gradient is added to: `Langevin` adds it to
the score in the correction that the noise brings, as published; `Tilted` adds it to the score wherever the score
stands, hence also inside the network's output. Only the second has the wanted law, for whatever noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError
from milepost.policies.flow.kernel import Kernel, across

Density: TypeAlias = Literal["bare", "guided", "weighted"]
"""Under which kernel a guided step is as likely as it says, when drawn and when trained. "bare": without the guidance
both times, as the released code has it, so that the ratio begins at 1 and training pulls the bare network towards what
guidance found. "guided": with it both times, the true policy gradient of the guided sampler. "weighted": drawn with it
and trained without, so that the ratio is the importance weight."""


class Value(Protocol):
    """A reward of noisy latents, differentiable in them.

    One that says the `beta` for which it is beta ln E[exp(R(x_0) / beta) | x_t] is refused by `Tilted` with another.
    """

    def __call__(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """One value for each latent, at its time, for what was asked for."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaving:
    """Steps about to be taken: where they start, what the network says there, where they go."""

    latent: Tensor
    output: Tensor
    condition: Int[Tensor, " n"]
    time: Float[Tensor, " n"]
    after: Float[Tensor, " n"]
    std: Float[Tensor, " n"]
    place: Int[Tensor, " n"]
    """Number of the step on the grid."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Steered:
    """Where steps go instead."""

    mean: Tensor
    asked: Bool[Tensor, " n"]
    """Which steps asked for the gradient of the reward."""


class Guide(Protocol):
    """Moves the mean of steps towards more reward."""

    @property
    def density(self) -> Density:
        """Under which kernel a guided step is as likely as it says."""
        ...

    def __call__(self, kernel: Kernel, leaving: Leaving) -> Steered:
        """Guided mean of the steps; the kernel's own where nothing is asked."""
        ...


def slope(value: Value, latent: Tensor, time: Float[Tensor, " n"], condition: Int[Tensor, " n"]) -> Tensor:
    """Gradient of a reward in noisy latents.

    Args:
        value: the reward; each value depends on its own latent only.
        latent: (n, ...).
        time: of each.
        condition: what was asked for.

    Returns:
        Like `latent`, without a graph.
    """
    with torch.enable_grad():
        free = latent.detach().requires_grad_()
        found = value(free, time, condition).sum()
        return torch.autograd.grad(found, free)[0]


def _asked(place: Int[Tensor, " n"], first: int, last: int) -> Bool[Tensor, " n"]:
    return (place >= first) & ((place <= last) | (last < 0))


def _check(beta: float, first: int, last: int) -> None:
    checks.positive("beta", beta)
    checks.at_least("first", first, 0)
    checks.at_least("last", last, -1)


@dataclass(frozen=True, kw_only=True)
class Langevin:
    """Euphonium's guidance: the gradient joins the score in the noise's correction, and nowhere else.

        mean' = mean + std^2 / (2 beta) grad r(x, t, c)        (std^2 = sigma^2 D)

    At a fixed time this is Langevin dynamics with the law p_t exp(r / beta). Along the path it tilts less than that, as
    the drift of the flow goes on as if the law were p_t. A step without noise is not moved.

    Source: Euphonium, 2026, and its released code with the step's length switched on.
    """

    value: Value
    beta: float = 1.0
    """Reward that is worth a factor e in probability, above 0."""
    first: int = 0
    """First guided step."""
    last: int = -1
    """Last guided step; -1 is the last of all."""
    density: Density = "bare"

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.beta, self.first, self.last)
        checks.one_of("density", self.density, ("bare", "guided", "weighted"))

    def __call__(self, kernel: Kernel, leaving: Leaving) -> Steered:
        """Guided mean of the steps."""
        mean = kernel.mean(leaving.latent, leaving.output, leaving.time, leaving.after, leaving.std)
        asked = _asked(leaving.place, self.first, self.last) & (leaving.std > 0)
        row = asked.nonzero().squeeze(1)
        if len(row) == 0:
            return Steered(mean=mean, asked=asked)
        rise = slope(self.value, leaving.latent[row], leaving.time[row], leaving.condition[row])
        weight = leaving.std[row].square() / (2 * self.beta)
        return Steered(mean=mean.index_add(0, row, across(weight, rise) * rise), asked=asked)


@dataclass(frozen=True, kw_only=True)
class Tilted:
    """Guidance with the exact coefficient: the gradient joins the score also inside the network's output.

        v' = v - t / (1 - t) grad r / beta,   mean' = mean of a step with v'
           = mean + (t / (1 - t) D + std^2 / 2) grad r / beta        (for a rectified flow)

    With r / beta = log E[exp(R(x_0) / beta) | x_t] the sampler has the law p(x_0) exp(R(x_0) / beta) for every noise,
    also for none, in the limit of many steps. The step from t = 1 goes unguided: the gradient is 0 there and its weight
    infinite. Their product has a limit, v' = v - (E_tilted[x_0] - E[x_0]), and to leave it out is an error of the order
    of one step.

    Source: the score of a tilted law, as in classifier guidance, arXiv:2105.05233; the memoryless case is the control
    of arXiv:2409.08861.
    """

    value: Value
    beta: float = 1.0
    """Reward that is worth a factor e in probability, above 0."""
    first: int = 0
    """First guided step."""
    last: int = -1
    """Last guided step; -1 is the last of all."""
    density: Density = "bare"

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.beta, self.first, self.last)
        checks.one_of("density", self.density, ("bare", "guided", "weighted"))
        own = getattr(self.value, "beta", self.beta)
        if own != self.beta:
            raise SettingError(
                f"beta={self.beta:g} with the exact guidance is not the tilted law: {type(self.value).__name__} is "
                f"that of noisy latents for beta={own:g} alone. Give beta={own:g} (--beta {own:g}), or leave out exact."
            )

    def __call__(self, kernel: Kernel, leaving: Leaving) -> Steered:
        """Guided mean of the steps."""
        asked = _asked(leaving.place, self.first, self.last) & (leaving.time < 1)
        row, output = asked.nonzero().squeeze(1), leaving.output
        if len(row):
            rise = slope(self.value, leaving.latent[row], leaving.time[row], leaving.condition[row]) / self.beta
            output = output.index_copy(0, row, kernel.tilted(output[row], rise, leaving.time[row]))
        mean = kernel.mean(leaving.latent, output, leaving.time, leaving.after, leaving.std)
        return Steered(mean=mean, asked=asked)
