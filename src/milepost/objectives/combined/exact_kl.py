"""Penalties on the exact divergence from a reference policy or from what drew the steps, for policies that know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.kl import KLPenalty, k3
from milepost.objectives.normalise import TokenMean, token_mean
from milepost.objectives.trained import Normalise, trained, weights
from milepost.part import Loss, Objective, Policy


class Told(Protocol):
    """What a policy says of steps beside a reference, one value per row, differentiable."""

    @property
    def log_prob(self) -> Tensor:
        """Of what is stored, in nats; 0 at rows without a density."""
        ...

    @property
    def divergence(self) -> Tensor:
        """KL(policy || reference) of the distribution of the step, in nats."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Against:
    """The same as a record."""

    log_prob: Tensor
    divergence: Tensor


@runtime_checkable
class Diverging(Protocol):
    """A policy that knows its divergence from a reference."""

    def against(self, forest: Forest, rows: Tensor, reference: Policy | None) -> Told:
        """Log-probability and divergence of rows; without a reference, from what drew them."""
        ...


@runtime_checkable
class PenalisesDivergence(Protocol):
    """An objective in which the divergence itself stands: from a reference if it needs one, else from what drew."""

    def compared(self, forest: Forest, against: Told) -> Loss:
        """Loss of the forest's steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExactKL:
    """Any objective with coefficient * KL(policy || reference) added to its loss, step by step.

        loss + coefficient * sum over units of weight * KL

    Nothing is estimated: for Gaussian steps of one standard deviation KL = |mean - mean_ref|^2 / (2 std^2), and its
    gradient does not depend on what was drawn. For policies that know only log-probabilities it is `kl.KLPenalty`.

    Source: Flow-GRPO, arXiv:2505.05470, eq. 10 to 12; its code leaves out the length of the step.
    Limits: a large coefficient keeps the weights where they were.

    Example:
        >>> from milepost.objectives.clipped import Clipped
        >>> ExactKL(objective=Clipped(), coefficient=0.04).needs_reference
        True
    """

    objective: Objective
    """What the penalty is added to."""
    coefficient: float = 0.04
    """Units of credit per nat, at least 0."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the penalty is divided by."""
    needs_reference = True

    def __post_init__(self) -> None:
        """Check the coefficient."""
        checks.non_negative("coefficient", self.coefficient)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss where the policy does not know its divergence: that of `kl.KLPenalty`, which estimates it."""
        part = KLPenalty(objective=self.objective, coefficient=self.coefficient, normalise=self.normalise)
        return part(forest, log_prob, reference)

    def compared(self, forest: Forest, against: Told) -> Loss:
        """Loss and `objective/*` metrics; `objective/kl` is the mean divergence, in nats per unit."""
        return _penalised(self.objective(forest, against.log_prob), self, forest, against)


@dataclass(frozen=True, kw_only=True)
class TowardsSampler:
    """Any objective with coefficient * KL(policy || what drew the steps) added to its loss, step by step.

        loss + coefficient * sum over units of weight * KL

    Where a guide steered the sampler, this teaches the policy to go there by itself: the guide is distilled. Where
    nothing did, it holds the policy near the one that sampled.

    Source: the distillation of Euphonium, 2026, whose exact form is not published. For Gaussian steps it is the squared
    distance of the velocities, weighted as the likelihood weighs it.
    Limits: with equal means the loss is the objective's.

    Example:
        >>> from milepost.objectives.clipped import Clipped
        >>> TowardsSampler(objective=Clipped(), coefficient=1.0).needs_reference
        False
    """

    objective: Objective
    """What the penalty is added to."""
    coefficient: float = 1.0
    """Units of credit per nat, at least 0."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the penalty is divided by."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the coefficient."""
        checks.non_negative("coefficient", self.coefficient)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss where the policy does not know its divergence: estimated by k3 from the stored log-probabilities."""
        units = trained(forest, log_prob)
        near, far = (torch.where(units.mask, value, 0) for value in (log_prob, units.behaviour))
        inner = self.objective(forest, log_prob, reference)
        return _penalised(inner, self, forest, Against(log_prob=log_prob, divergence=k3(near, far)))

    def compared(self, forest: Forest, against: Told) -> Loss:
        """Loss and `objective/*` metrics; `objective/kl` is the mean divergence, in nats per unit."""
        return _penalised(self.objective(forest, against.log_prob), self, forest, against)


def _penalised(inner: Loss, part: ExactKL | TowardsSampler, forest: Forest, against: Told) -> Loss:
    units = trained(forest, against.log_prob)
    distance = torch.where(units.mask, against.divergence, 0)
    loss = inner.loss + part.coefficient * (weights(units, part.normalise, distance) * distance).sum()
    mean = float((weights(units, token_mean, distance) * distance.detach()).sum())
    return Loss(loss=loss, metrics={**inner.metrics, "objective/kl": mean, "objective/loss": float(loss.detach())})
