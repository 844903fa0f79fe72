"""A penalty on the exact divergence from a reference policy, for policies that know it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from milepost import checks
from milepost.divergence import Against
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.normalise import TokenMean, token_mean
from milepost.objectives.trained import Normalise, trained, weights
from milepost.part import Loss, Objective


@dataclass(frozen=True, kw_only=True)
class ExactKL:
    """Any objective with coefficient * KL(policy || reference) added to its loss, step by step.

        loss + coefficient * sum over units of weight * KL

    Nothing is estimated: for Gaussian steps of one standard deviation KL = |mean - mean_ref|^2 / (2 std^2), and its
    gradient does not depend on what was drawn. Where only log-probabilities are known take `kl.KLPenalty`.

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

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Refuse: log-probabilities do not say the divergence."""
        raise SettingError(
            "ExactKL was given log-probabilities only: the policy does not know its divergence from a reference. Take "
            "objectives.kl.KLPenalty, which estimates it."
        )

    def compared(self, forest: Forest, against: Against) -> Loss:
        """Loss and `objective/*` metrics; `objective/kl` is the mean divergence, in nats per unit."""
        inner = self.objective(forest, against.log_prob)
        units = trained(forest, against.log_prob)
        distance = torch.where(units.mask, against.divergence, 0)
        loss = inner.loss + self.coefficient * (weights(units, self.normalise, distance) * distance).sum()
        mean = float((weights(units, token_mean, distance) * distance.detach()).sum())
        return Loss(loss=loss, metrics={**inner.metrics, "objective/kl": mean, "objective/loss": float(loss.detach())})
