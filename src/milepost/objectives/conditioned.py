"""A clip that depends on how good a step is: good ones may move further up, bad ones further down."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.forest import Forest
from milepost.objectives.describe import describe
from milepost.objectives.normalise import TokenMean
from milepost.objectives.trained import Normalise, log_ratio, trained, weights
from milepost.part import Loss


def standing(advantage: Float[Tensor, " u"], group: Int[Tensor, " u"], groups: int) -> Float[Tensor, " u"]:
    """Where a credit stands in its group, from -1 to 1.

        z_i = A_i / (max over the group of |A_j| + 1e-8)

    For centred rewards this is (R_i - mean) / max |R_j - mean|, whatever they were divided by.

    Args:
        advantage: credit of each unit.
        group: group of each unit, in [0, groups).
        groups: number of groups.

    Returns:
        In [-1, 1]; 0 in a group without credit.

    Source: the reward-conditioned bounds of Dynamic-TreeRPO, arXiv:2509.23352; the formula is ours.
    """
    every = torch.ones_like(advantage, dtype=torch.bool)
    largest = segments.group_max(advantage.abs(), group, groups, every)
    return advantage / (largest[group] + 1e-8)


def bounded_surrogate(
    log_r: Float[Tensor, " u"], advantage: Float[Tensor, " u"], low: Float[Tensor, " u"], high: Float[Tensor, " u"]
) -> Float[Tensor, " u"]:
    """The clipped surrogate with bounds of its own for every unit.

        A min(r, 1 + high_i)   if A >= 0;   A max(r, 1 - low_i)   if A < 0

    Args:
        log_r: logarithm of the importance ratio r, in nats.
        advantage: credit A.
        low: in [0, 1), float64.
        high: at least 0, float64.

    Returns:
        What is to be maximised, in units of the credit.

    Source: PPO, arXiv:1707.06347, eq. 7.   Limits: equal bounds give `clipped.clipped_surrogate`, bit for bit.
    """
    up = log_r.clamp(max=high.log1p().to(log_r.dtype))
    down = log_r.clamp(min=(-low).log1p().to(log_r.dtype))
    return advantage * torch.where(advantage >= 0, up, down).exp()


@dataclass(frozen=True, kw_only=True)
class ConditionedClip:
    """`Clipped` whose bounds depend on where a step stands among those of its root that are as deep.

        1 - low (1 - eta z)  and  1 + high (1 + eta z),   z from `standing`

    A good step may be made more likely by more, a bad one less likely by more. The bounds stay on their sides of 1.

    Source: Dynamic-TreeRPO, arXiv:2509.23352; the formula is ours.   Limits: eta = 0 is `Clipped`.

    Example:
        >>> ConditionedClip(low=1e-4, high=1e-4).sensitivity
        0.5
    """

    low: float = 0.2
    high: float = 0.2
    sensitivity: float = 0.5
    """eta, in [0, 1)."""
    normalise: Normalise = field(default_factory=TokenMean)
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 0.5)
        checks.positive("high", self.high)
        checks.within("sensitivity", self.sensitivity, 0.0, 0.999)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = trained(forest, log_prob)
        depth, root = forest.depth(), forest.root_of()
        deepest = int(depth.max()) + 1 if len(depth) else 1
        group = (root * deepest + depth)[units.row]
        z = standing(units.advantage, group, max(len(forest), 1) * deepest).double()
        low, high = self.low * (1 - self.sensitivity * z), self.high * (1 + self.sensitivity * z)
        log_r = log_ratio(units, log_prob)
        gain = bounded_surrogate(log_r, units.advantage, low, high)
        loss = -(weights(units, self.normalise, log_prob) * gain).sum()
        r, a = log_r.detach().double().exp(), units.advantage
        clipped = ((a < 0) & (r < 1 - low)) | ((a > 0) & (r > 1 + high))
        return Loss(loss=loss, metrics=describe(loss, units, log_prob, {"clip_fraction": clipped.to(log_prob.dtype)}))
