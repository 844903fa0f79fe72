"""Numbers that explain a loss: means over the trained tokens, in which a shared token counts once per trajectory."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from milepost.objectives.normalise import token_mean
from milepost.objectives.trained import Trained, log_ratio, weights


def describe(loss: Tensor, units: Trained, log_prob: Tensor, shares: Mapping[str, Tensor]) -> dict[str, float]:
    """Metrics of a loss.

    Args:
        loss: the scalar.
        units: the units that it touches.
        log_prob: log-probability of every unit under the policy that is trained, in nats.
        shares: further quantities to average over the units, by name.

    Returns:
        `objective/loss`; `objective/entropy`, an estimate in nats per unit from the sampled units, -mean log pi;
        `objective/behaviour_kl`, an estimate of KL(sampling policy || policy) in nats per unit, mean of r - 1 - log r;
        `objective/ratio_mean`; `objective/trained_units`; and the mean of each share as `objective/<name>`. Means are
        0 when the loss touches nothing: `objective/trained_units` is 0 then.

    Source: the estimator of the divergence is k3 of Schulman 2020.
    """
    chosen = log_prob.detach()
    weight = weights(units, token_mean, chosen)
    ratio = log_ratio(units, chosen)
    means = {
        "entropy": (-chosen).where(units.mask, 0),
        "behaviour_kl": ratio.exp() - 1 - ratio,
        "ratio_mean": ratio.exp(),
        **shares,
    }
    found = {f"objective/{name}": float((weight * value.detach()).sum()) for name, value in means.items()}
    return {"objective/loss": float(loss.detach()), "objective/trained_units": float(units.mask.sum()), **found}
