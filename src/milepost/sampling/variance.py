"""How much there is to learn from a task: the spread of its outcomes, and the diversity of its answers (VAS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.sampling.diversity import trajectory_diversity
from milepost.sampling.tracker import Moments, ScoredGroups, moments


def outcome_variance(found: Moments, *, unbiased: bool) -> Float[Tensor, " g"]:
    """Variance of the scores of each group; for outcomes 0 and 1 it is P (1 - P) of the pass rate P.

        OVS_g = (1 / N) sum_i (r_i - mean_g)^2,   times N / (N - 1) if unbiased

    The plain form underestimates: its expectation is (N - 1) / N times the variance of one outcome.

    Args:
        found: count, mean and deviation of each group.
        unbiased: whether to divide by N - 1 instead of N.

    Returns:
        float64 in squared reward units, in [0, 0.25] for outcomes 0 and 1 (plain); 0 for fewer than two scores.

    Source: MMR1 / VAS, outcome variance score.   Limits: many rollouts make both forms equal.
    """
    divisor = found.count - 1 if unbiased else found.count
    return torch.where(found.count > 1, found.deviation / divisor.clamp(min=1), 0)


def mixed_probability(rate: Float[Tensor, " n"], width: int) -> Float[Tensor, " n"]:
    """Probability that a group of independent outcomes 0 and 1 holds both.

        mixed = 1 - p^N - (1 - p)^N

    Args:
        rate: pass rate p of each task, in [0, 1].
        width: N, trajectories per group.

    Returns:
        One number in [0, 1) per task.

    Raises:
        SettingError: `width` below 1.

    Limits: 0 for N = 1 and for p in {0, 1}; N (p (1 - p)) to first order for small p.
    """
    checks.at_least("width", width, 1)
    return 1 - rate**width - (1 - rate) ** width


@dataclass(frozen=True, kw_only=True)
class VariancePromotion:
    """Score of a group: weighted sum of the variance of its outcomes and of the diversity of its answers.

        VPS = variance_weight OVS / ((high - low) / 2)^2 + diversity_weight TDS

    With outcomes in [0, 1] the divisor is 1/4, so that both terms lie in [0, 1] and the weights mean what they say.
    The diversity term is a heuristic bonus without a guarantee: set its weight to 0 to leave it out.

    Source: MMR1 / VAS, variance promotion score; the division by the range is ours.

    Example:
        >>> VariancePromotion(diversity_weight=0.0).variance_weight
        0.8
    """

    reads = ("reward.*", "ok.*", "tokens.id", "tokens.role")
    variance_weight: float = 0.8
    diversity_weight: float = 0.2
    reward: str = "total"
    """Reward whose spread counts; an accuracy by its own name keeps bonuses for the format out."""
    reward_range: tuple[float, float] | None = (0.0, 1.0)
    """Smallest and largest reward; None takes the variance as it is, as the paper does."""
    unbiased: bool = False
    """Divide the variance by N - 1."""

    def __post_init__(self) -> None:
        """Check weights and range."""
        checks.non_negative("variance_weight", self.variance_weight)
        checks.non_negative("diversity_weight", self.diversity_weight)
        if self.variance_weight + self.diversity_weight == 0:
            raise SettingError("variance_weight and diversity_weight are both 0: at least one must be above 0.")
        if self.reward_range is not None:
            low, high = self.reward_range
            checks.positive("the width of reward_range", high - low)

    def __call__(self, forest: Forest, found: ScoredGroups) -> Float[Tensor, " g"]:
        """Score every group of a forest.

        Args:
            forest: the scored forest.
            found: its groups, for the reward of this part.

        Returns:
            float64, at least 0, one number per group; 0 for a group with fewer than two ok scores.
        """
        groups = len(found)
        variance = outcome_variance(moments(found.score, found.group, groups, found.ok), unbiased=self.unbiased)
        if self.reward_range is not None:
            low, high = self.reward_range
            variance = variance / ((high - low) / 2) ** 2
        score = self.variance_weight * variance
        if self.diversity_weight == 0:
            return score
        diversity = trajectory_diversity(forest, found.rows, found.group, groups, found.ok)
        return score + self.diversity_weight * diversity
