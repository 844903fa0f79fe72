"""The plain weighted log-likelihood: a policy gradient without importance ratio and without clip."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.describe import describe
from milepost.objectives.normalise import TokenMean
from milepost.objectives.trained import Normalise, trained, weights
from milepost.part import Loss


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Log-likelihood of every trained token, weighted with the credit of its step: REINFORCE.

        loss = - scale * sum over units of weight * A * log pi

    Whoever sampled the tokens, they count as the policy's own: off-policy steps are imitated or avoided as they stand.

    Source: Williams 1992; R3L's policy loss, whose 1 / (1 + tau) is `scale`.

    Example:
        >>> import torch
        >>> forest = Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -1.0], "advantage": [None, 1.0, -1.0]})
        >>> float(Likelihood()(forest, torch.tensor([0.0, -0.5, -1.5])).loss)
        -0.5
    """

    scale: float = 1.0
    """Factor on the loss."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the loss is divided by."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the factor."""
        checks.positive("scale", self.scale)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = trained(forest, log_prob)
        gain = units.advantage * log_prob.where(units.mask, 0)
        loss = -self.scale * (weights(units, self.normalise, log_prob) * gain).sum()
        return Loss(loss=loss, metrics=describe(loss, units, log_prob, {}))
