"""A gain on credit that depends on its sign: amplify what went well, or learn mostly from mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, segments
from milepost.credit.compare import Compared, GroupRule, GroupSums, siblings, write
from milepost.credit.group import Normalised
from milepost.forest import Forest


def sign_gain(credit: Float[Tensor, " n"], positive: Float[Tensor, "#n"]) -> Float[Tensor, " n"]:
    """Multiply positive credit by a gain and leave the rest as it is.

        A_i <- positive_i A_i  if A_i > 0

    Args:
        credit: one number per row.
        positive: gain of each row, or one for all; at least 0.

    Returns:
        Credit in the same unit.

    Source: A-GRAE, arXiv:2602.05548, section 4.2; a constant gain above 1 is R3L's amplification, one below 1 that of
    W-REINFORCE.   Limits: a gain of 1 changes nothing, to the bit.
    """
    return torch.where(credit > 0, positive * credit, credit)


def limited_gain(omega: Float[Tensor, " n"], *, alpha: float, floor: float) -> Float[Tensor, " n"]:
    """Gain of positive credit while the policy is weak.

        g = max(floor, min(1, omega / alpha))

    Args:
        omega: success rate of the batch, in [0, 1].
        alpha: rate from which positive credit is not held back, in (0, 1].
        floor: smallest gain, in [0, 1]; 0 is the paper's.

    Returns:
        A factor in [floor, 1].

    Source: A-GRAE, arXiv:2602.05548, section 4.2; the floor is milepost's.   Limits: alpha -> 0 gives 1.
    """
    return (omega / alpha).clamp(max=1).clamp(min=floor)


def bounded_sums(
    compared: Compared, credit: Float[Tensor, " n"], low: Float[Tensor, " g"], high: Float[Tensor, " g"]
) -> GroupSums:
    """What groups sum to after a gain between `low` and `high` on the positive side of credit that summed to 0.

        sum_g = (gain_g - 1) * sum_i [group_i = g] |A_i| over A_i < 0

    Args:
        compared: the groups.
        credit: credit after the gain, one number per compared row.
        low: smallest gain of each group.
        high: largest gain of each group.

    Returns:
        The promise.
    """
    lost = segments.group_sum((-credit).clamp(min=0).double(), compared.group, compared.groups, compared.ok)
    return GroupSums(compared=compared, low=(low - 1) * lost, high=(high - 1) * lost)


class Gain(Protocol):
    """Gain of positive credit by the batch's success rate."""

    def of(self, omega: Tensor) -> Tensor:
        """Return one factor per row."""
        ...


@dataclass(frozen=True, kw_only=True)
class Limited:
    """A-GRAE's gain: min(1, omega / alpha), at least `floor`."""

    alpha: float = 1.0
    """Success rate from which positive credit is whole: 1 for text mathematics, 0.5 where training collapses."""
    floor: float = 0.0
    """Smallest gain. Above 0 a policy that starts from almost no success keeps learning from the successes it has."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("alpha", self.alpha, 1e-9, 1.0)
        checks.within("floor", self.floor, 0.0, 1.0)

    def of(self, omega: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return one factor per row."""
        return limited_gain(omega, alpha=self.alpha, floor=self.floor)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same gain at any success rate; 1 leaves the weight by difficulty alone at work."""

    positive: float = 1.0

    def __post_init__(self) -> None:
        """Check the gain."""
        checks.non_negative("positive", self.positive)

    def of(self, omega: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return one factor per row."""
        return torch.full_like(omega, self.positive)


@dataclass(frozen=True, kw_only=True)
class SignGain:
    """Any group credit with a constant gain on its positive side.

    Above 1 it amplifies rare successes (R3L), below 1 it learns mostly from failures (W-REINFORCE: 0.1). Either way the
    credit of a mixed group no longer sums to 0: the logits of answers that were not sampled all fall or all rise.

    Source: W-REINFORCE, arXiv:2506.01347; A-GRAE, arXiv:2602.05548, section 3.

    Example:
        >>> from milepost.forest import Forest
        >>> answers = {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]}
        >>> SignGain(rule=Normalised(eps=0.0), positive=3.0)(Forest.of([-1, 0, 0], answers))["advantage"].tolist()
        [0.0, 3.0, -1.0]
    """

    reads, writes = ("reward.total", "ok.total"), ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    """Credit before the gain; it sums to 0 in every group."""
    positive: float = 1.0
    """Gain of positive credit."""

    def __post_init__(self) -> None:
        """Check the gain."""
        checks.non_negative("positive", self.positive)

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups."""
        credit = self.rule.of(compared)
        return sign_gain(credit, credit.new_tensor([self.positive]))

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return siblings(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """A group sums to (gain - 1) times its negative credit."""
        compared = siblings(forest)
        gain = torch.full((compared.groups,), self.positive, dtype=torch.float64)
        return bounded_sums(compared, forest["advantage"][compared.row], gain, gain)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = siblings(forest)
        return write(forest, compared, self.of(compared))
