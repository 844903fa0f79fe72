"""The clipped surrogate: a policy gradient whose importance ratios cannot pull too far from the policy that sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.describe import describe
from milepost.objectives.normalise import TokenMean
from milepost.objectives.trained import Normalise, log_ratio, trained, weights
from milepost.part import Loss


def clipped_surrogate(
    log_r: Float[Tensor, " u"], advantage: Float[Tensor, " u"], *, low: float, high: float, bound: float = math.inf
) -> Float[Tensor, " u"]:
    """Surrogate of the policy's gain, clipped where the ratio went further than the credit asks for.

        A min(r, 1 + high)               if A >= 0
        A min(max(r, 1 - low), bound)    if A < 0

    This is min(r A, clip(r, 1 - low, 1 + high) A), and with a finite bound the dual clip max(that, bound A) for A < 0.
    It is computed on the logarithm: where a large ratio is clipped its gradient is exactly 0, not infinity times 0.

    Args:
        log_r: logarithm of the importance ratio r, in nats.
        advantage: credit A.
        low: in (0, 1]; 1 does not clip below.
        high: above 0; a large number does not clip above.
        bound: at least 1 - low; largest ratio that counts for negative credit; infinity: none.

    Returns:
        What is to be maximised, in units of the credit.

    Source: PPO, arXiv:1707.06347, eq. 7; asymmetric as in DAPO, arXiv:2503.14476, eq. 10; dual clip as in
    arXiv:1912.09729, eq. 5.
    Limits: low = 1 and high, bound to infinity give r A; r = 1 gives A.
    """
    up = log_r.clamp(max=math.log1p(high))
    down = log_r.clamp(min=math.log1p(-low) if low < 1 else -math.inf, max=math.log(bound))
    return advantage * torch.where(advantage >= 0, up, down).exp()


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipMarks:
    """Where a clip holds the gradient back: 1 there, else 0."""

    below: Float[Tensor, " u"]
    above: Float[Tensor, " u"]

    def named(self) -> dict[str, Tensor]:
        """The marks by the name of the metric that they are averaged to."""
        return {"clip_low": self.below, "clip_high": self.above, "clip_fraction": self.below + self.above}


def clip_marks(log_r: Float[Tensor, " u"], advantage: Float[Tensor, " u"], *, low: float, high: float) -> ClipMarks:
    """Mark where the clip holds the gradient back.

        below: A < 0 and r < 1 - low;   above: A > 0 and r > 1 + high

    Args:
        log_r: logarithm of the importance ratio r, in nats.
        advantage: credit A.
        low: as for `clipped_surrogate`.
        high: as for `clipped_surrogate`.

    Returns:
        Two marks per unit.
    """
    r = log_r.detach().exp()
    below, above = (advantage < 0) & (r < 1 - low), (advantage > 0) & (r > 1 + high)
    return ClipMarks(below=below.to(r.dtype), above=above.to(r.dtype))


@dataclass(frozen=True, kw_only=True)
class Clipped:
    """Clipped surrogate with one importance ratio per token; each token has the credit of its step.

    Tokens that are not trained, that have no valid log-probability, or whose step has no valid credit touch nothing. A
    step that several trajectories share counts once for each.

    Source: PPO, arXiv:1707.06347, eq. 7, as used by GRPO, arXiv:2402.03300, eq. 3; with the asymmetric clip of DAPO,
    arXiv:2503.14476, eq. 10.

    Example:
        >>> from milepost.forest import Forest
        >>> forest = Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -1.0], "advantage": [None, 1.0, -1.0]})
        >>> round(float(Clipped()(forest, torch.tensor([0.0, -0.5, -1.0])).loss), 6)
        -0.1
    """

    low: float = 0.2
    """How far the ratio may fall below 1 for bad steps before their gradient ends, in (0, 1]."""
    high: float = 0.2
    """How far it may rise above 1 for good steps."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the loss is divided by."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        return _loss(forest, log_prob, self.normalise, (self.low, self.high, math.inf))


@dataclass(frozen=True, kw_only=True)
class DualClipped:
    """`Clipped` that also bounds the ratio of bad steps: a bad token that became very likely cannot dominate the batch.

    Source: Ye et al. 2020, arXiv:1912.09729, eq. 5.   Limits: a large bound is `Clipped`.

    Example:
        >>> DualClipped(bound=3.0).bound
        3.0
    """

    low: float = 0.2
    high: float = 0.2
    bound: float = 3.0
    """Largest ratio that counts for negative credit, above 1."""
    normalise: Normalise = field(default_factory=TokenMean)
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)
        checks.positive("bound - 1", self.bound - 1)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        return _loss(forest, log_prob, self.normalise, (self.low, self.high, self.bound))


def _loss(forest: Forest, log_prob: Tensor, normalise: Normalise, limits: tuple[float, float, float]) -> Loss:
    low, high, bound = limits
    units = trained(forest, log_prob)
    log_r = log_ratio(units, log_prob)
    gain = clipped_surrogate(log_r, units.advantage, low=low, high=high, bound=bound)
    loss = -(weights(units, normalise, log_prob) * gain).sum()
    marks = clip_marks(log_r, units.advantage, low=low, high=high)
    return Loss(loss=loss, metrics=describe(loss, units, log_prob, marks.named()))
