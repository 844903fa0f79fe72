"""Group credit: how much better a step is than its siblings, by GRPO's rule, without its division, or leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.credit.compare import Compared, GroupSums, siblings, write
from milepost.forest import Forest

_READS = ("reward.total", "ok.total")
_WRITES = ("advantage",)


def centred(
    reward: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Reward less the mean of the group.

        A_i = r_i - mean_{group_i}

    Args:
        reward: one number per row, in reward units; NaN allowed where not ok.
        group: id of the group of each row, in [0, groups).
        groups: number of groups.
        ok: which rows count.

    Returns:
        Reward units; exactly 0 for equal rewards, lone rows and rows that are not ok; each group sums to 0.

    Source: Dr. GRPO, arXiv:2503.20783, section 3.   Limits: an unbiased gradient is (n - 1) / n of the true one.
    """
    return segments.group_centre(reward, group, groups, ok)


def normalised(
    reward: Float[Tensor, " n"],
    group: Int[Tensor, " n"],
    groups: int,
    ok: Bool[Tensor, " n"],
    *,
    ddof: int,
    eps: float,
) -> Float[Tensor, " n"]:
    """Reward less the mean of the group, in units of the group's standard deviation.

        A_i = (r_i - mean_{group_i}) / (std_{group_i} + eps),   std^2 = sum of squared deviations / (count - ddof)

    Args:
        reward: one number per row, in reward units; NaN allowed where not ok.
        group: id of the group of each row, in [0, groups).
        groups: number of groups.
        ok: which rows count.
        ddof: 0 for the population's standard deviation, 1 for the sample's.
        eps: added to the standard deviation, in reward units; 0 is allowed.

    Returns:
        A number without unit; exactly 0 for equal rewards, lone rows and rows that are not ok; each group sums to 0.

    Source: DeepSeekMath, arXiv:2402.03300, section 4.1.2; TRL and verl take ddof = 1.
    """
    centre = segments.group_centre(reward, group, groups, ok)
    count = (segments.group_count(group, groups, ok) - ddof).clamp(min=1)
    square = centre.new_zeros(groups).index_add_(0, group, centre.square())
    scale = (square / count).sqrt()[group] + eps
    return torch.where(scale > 0, centre / scale, 0)


def leave_one_out(
    reward: Float[Tensor, " n"], group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Reward less the mean of the others in the group.

        A_i = r_i - sum_{j != i} r_j / (n - 1) = (r_i - mean) n / (n - 1)

    Args:
        reward: one number per row, in reward units; NaN allowed where not ok.
        group: id of the group of each row, in [0, groups).
        groups: number of groups.
        ok: which rows count.

    Returns:
        Reward units; exactly 0 for equal rewards, lone rows and rows that are not ok; each group sums to 0.

    Source: Kool, van Hoof, Welling 2019; arXiv:2402.14740 for language models.   Limits: a large group gives `centred`.
    """
    centre = segments.group_centre(reward, group, groups, ok)
    count = segments.group_count(group, groups, ok).to(reward.dtype)
    return centre * (count / (count - 1).clamp(min=1))[group]


def zero_sums(compared: Compared) -> GroupSums:
    """The promise that the credit of every group sums to 0.

    Args:
        compared: the groups.

    Returns:
        The promise.
    """
    nothing = torch.zeros(compared.groups, dtype=torch.float64)
    return GroupSums(compared=compared, low=nothing, high=nothing)


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """Credit of GRPO: reward less the mean of the siblings, divided by their standard deviation.

    Source: DeepSeekMath, arXiv:2402.03300, section 4.1.2.

    Example:
        >>> from milepost.forest import Forest
        >>> answers = {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]}
        >>> Normalised(eps=0.0)(Forest.of([-1, 0, 0], answers))["advantage"].tolist()
        [0.0, 1.0, -1.0]
    """

    reads, writes = _READS, _WRITES
    ddof: int = 0
    """0 for the population's standard deviation, 1 for the sample's."""
    eps: float = 1e-6
    """Added to the standard deviation, in reward units."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.one_of("ddof", self.ddof, (0, 1))
        checks.non_negative("eps", self.eps)

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups."""
        c = compared
        return normalised(c.value, c.group, c.groups, c.ok, ddof=self.ddof, eps=self.eps)

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return siblings(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """Every group sums to 0."""
        return zero_sums(siblings(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = siblings(forest)
        return write(forest, compared, self.of(compared))


@dataclass(frozen=True, kw_only=True)
class Centred:
    """Credit of Dr. GRPO: reward less the mean of the siblings, in reward units.

    Source: Dr. GRPO, arXiv:2503.20783, section 3.

    Example:
        >>> from milepost.forest import Forest
        >>> answers = {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]}
        >>> Centred()(Forest.of([-1, 0, 0], answers))["advantage"].tolist()
        [0.0, 0.5, -0.5]
    """

    reads, writes = _READS, _WRITES

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups."""
        return centred(compared.value, compared.group, compared.groups, compared.ok)

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return siblings(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """Every group sums to 0."""
        return zero_sums(siblings(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = siblings(forest)
        return write(forest, compared, self.of(compared))


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """Credit of a step: its reward less the mean of its siblings without itself, in reward units.

    Source: Kool, van Hoof, Welling 2019; arXiv:2402.14740 for language models.

    Example:
        >>> from milepost.forest import Forest
        >>> answers = {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]}
        >>> LeaveOneOut()(Forest.of([-1, 0, 0], answers))["advantage"].tolist()
        [0.0, 1.0, -1.0]
    """

    reads, writes = _READS, _WRITES

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups."""
        return leave_one_out(compared.value, compared.group, compared.groups, compared.ok)

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return siblings(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """Every group sums to 0."""
        return zero_sums(siblings(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = siblings(forest)
        return write(forest, compared, self.of(compared))
