"""The plain policy gradient, weighted for the difference between the policy that sampled and the one in training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.describe import describe
from milepost.objectives.normalise import TokenMean
from milepost.objectives.trained import Normalise, log_ratio, trained, weights
from milepost.part import Loss


def truncated_weight(log_r: Float[Tensor, " u"], *, cap: float) -> Float[Tensor, " u"]:
    """Importance weight that cannot exceed a cap: no gradient flows through it.

        w = min(r, cap)

    Args:
        log_r: log-probability under the trainer less that under the sampler, in nats.
        cap: largest weight, above 0.

    Returns:
        A weight in [0, cap], without unit; a constant for the gradient.

    Source: Ionides 2008; as "truncated importance sampling" between sampler and trainer, Yao et al. 2025.
    Limits: cap -> infinity is the unbiased importance weight; equal policies give 1.
    """
    return log_r.detach().clamp(max=math.log(cap)).exp()


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Policy gradient with truncated importance weights: nothing is clipped away, every trained token keeps a gradient.

        loss = - sum over units of weight * w * A * log pi,   w = min(pi / mu, cap) held constant

    For samplers whose probabilities differ a little from the trainer's, and for few updates per batch.

    Source: IMPALA, arXiv:1802.01561, section 4.1; CISPO, arXiv:2506.13585, eq. 4.   Limits: w = 1 is REINFORCE.

    Example:
        >>> Weighted(cap=2.0).cap
        2.0
    """

    cap: float = 2.0
    """Largest importance weight."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the loss is divided by."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the cap."""
        checks.positive("cap", self.cap)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = trained(forest, log_prob)
        log_r = log_ratio(units, log_prob)
        weight = truncated_weight(log_r, cap=self.cap)
        gain = weight * units.advantage * log_prob.where(units.mask, 0)
        loss = -(weights(units, self.normalise, log_prob) * gain).sum()
        capped = (log_r.detach() > math.log(self.cap)).to(log_prob.dtype)
        return Loss(loss=loss, metrics=describe(loss, units, log_prob, {"truncated": capped, "weight_mean": weight}))
