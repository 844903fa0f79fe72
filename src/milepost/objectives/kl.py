"""A penalty on the distance to a reference policy, added to any objective."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError, ShapeError
from milepost.forest import Forest
from milepost.objectives.normalise import TokenMean, token_mean
from milepost.objectives.trained import Normalise, log_ratio, trained, weights
from milepost.part import Loss, Objective


def k3(log_prob: Float[Tensor, " u"], reference: Float[Tensor, " u"]) -> Float[Tensor, " u"]:
    """Estimate of the divergence of the policy from a reference, from units that the policy sampled.

        k3 = q - 1 - log q,   q = reference / policy

    Args:
        log_prob: log-probability under the policy, in nats.
        reference: log-probability under the reference, in nats.

    Returns:
        Nats, at least 0 and 0 only where both agree. Its mean over the policy's own units is KL(policy || reference).

    Source: Schulman 2020, "Approximating KL divergence", k3; GRPO, arXiv:2402.03300, eq. 4.
    """
    gap = reference - log_prob
    return gap.expm1() - gap


@dataclass(frozen=True, kw_only=True)
class KLPenalty:
    """Any objective with coefficient * k3 added to its loss.

    As in GRPO and its descendants the gradient is that of k3 at the sampled tokens; over the policy's own samples that
    is the gradient of KL(reference || policy), although the value estimates KL(policy || reference). With `corrected`
    each term is multiplied by the importance ratio: the gradient is that of KL(policy || reference), whoever sampled.

    Source: GRPO, arXiv:2402.03300, eq. 3 and 4; the correction as in DeepSeek-V3.2, arXiv:2512.02556, section 3.1.

    Example:
        >>> from milepost.objectives.clipped import Clipped
        >>> KLPenalty(objective=Clipped(), coefficient=0.04).needs_reference
        True
    """

    objective: Objective
    """What the penalty is added to."""
    coefficient: float = 0.04
    """Units of credit per nat, at least 0."""
    corrected: bool = False
    normalise: Normalise = field(default_factory=TokenMean)
    """What the penalty is divided by."""
    needs_reference = True

    def __post_init__(self) -> None:
        """Check the coefficient."""
        checks.non_negative("coefficient", self.coefficient)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss and `objective/*` metrics; `objective/kl` is the mean of k3, in nats per unit."""
        if reference is None:
            raise SettingError(
                "KLPenalty was called without log-probabilities of a reference policy: pass reference=..., or use the "
                "objective without a penalty."
            )
        if reference.shape != log_prob.shape:
            raise ShapeError(
                f"reference has shape {tuple(reference.shape)}, expected that of log_prob, {tuple(log_prob.shape)}."
            )
        inner = self.objective(forest, log_prob, reference)
        units = trained(forest, log_prob)
        near, far = (torch.where(units.mask, value, 0) for value in (log_prob, reference.detach().to(log_prob.dtype)))
        distance = k3(near, far)
        ratio = log_ratio(units, log_prob).exp() if self.corrected else torch.ones_like(distance)
        weight = weights(units, self.normalise, log_prob)
        loss = inner.loss + self.coefficient * (weight * ratio * distance).sum()
        mean = float((weights(units, token_mean, log_prob) * distance.detach()).sum())
        return Loss(loss=loss, metrics={**inner.metrics, "objective/kl": mean, "objective/loss": float(loss.detach())})
