"""Credit for trajectories that came to an end of their own: those that ran into a limit teach nothing.

Running into the cap says nothing about what was done on the way. Scored as a failure, it teaches to answer early, and
more turns at test time then do not help. So what exceeded a limit carries no gradient, and is not counted in what the
loss is divided by.

Source: Mini-o3, arXiv:2509.07969, over-turn masking; for token limits DAPO, arXiv:2503.14476, overlong filtering.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from milepost import checks, segments
from milepost.columns import End
from milepost.credit.by_root import mean_below, trajectories
from milepost.credit.compare import Compared, GroupRule
from milepost.credit.group import Normalised
from milepost.forest import Forest
from milepost.part import State

LIMITS = (End.TURN_LIMIT, End.TOKEN_LIMIT, End.BUDGET)
"""Ends that say nothing about the trajectory: turns, context, and the budget of images or calls."""


def exceeded(end: Tensor, limits: tuple[End, ...]) -> Bool[Tensor, " n"]:
    """Whether trajectories ended by one of the limits.

    Args:
        end: why each ended, see `End`.
        limits: the ends that count as limits.

    Returns:
        One truth value per trajectory.
    """
    return torch.isin(end, torch.tensor([int(one) for one in limits], dtype=end.dtype))


@dataclass(frozen=True, kw_only=True)
class Completed:
    """Group credit over the trajectories of a task, without a gradient for those that exceeded a limit.

        A_i = M_i (r_i - mean_j r_j) / (std_j r_j + eps),   M_i = 0 where trajectory i exceeded a limit, else 1

    The statistics are over all trajectories of the group, or over the completed ones only. A trajectory without credit
    is left out by every objective, also from what it divides by: the loss is a mean over sum_i M_i trajectories.

    Limits: nothing exceeded is `ByRoot(rule)`; everything exceeded is no gradient at all.

    Example:
        >>> from milepost.credit.group import Centred
        >>> from milepost.forest import Forest
        >>> answers = {"reward.total": [None, 1, 0, 0, 0], "ok.total": [False] + [True] * 4, "end": [0, 1, 1, 2, 1]}
        >>> found = Completed(rule=Centred())(Forest.of([-1, 0, 0, 0, 0], answers))
        >>> found["advantage"][1:3].tolist(), found.valid("advantage").tolist()
        ([0.75, -0.25], [False, True, True, False, True])
    """

    reads, writes = ("reward.total", "ok.total", "end"), ("advantage",)
    rule: GroupRule = field(default_factory=lambda: Normalised(ddof=1))
    """Credit inside the group."""
    limits: tuple[End, ...] = LIMITS
    """Ends that count as exceeded."""
    completed_only: bool = False
    """Whether mean and standard deviation leave exceeded trajectories out too; the paper and its code count them."""

    def __post_init__(self) -> None:
        """Check the limits."""
        checks.not_empty("limits", self.limits)
        for limit in self.limits:
            checks.one_of("limits", limit, tuple(End))

    def compare(self, forest: Forest) -> Compared:
        """Trajectories of a task; those that count in the statistics are ok."""
        compared = trajectories(forest)
        return (
            replace(compared, ok=compared.ok & self._completed(forest, compared)) if self.completed_only else compared
        )

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`; missing where no completed trajectory passes."""
        compared = self.compare(forest)
        taught = replace(compared, ok=compared.ok & self._completed(forest, compared))
        return mean_below(forest, taught, self.rule.of(compared))

    def metrics(self, forest: Forest, state: State) -> Mapping[str, float]:  # noqa: ARG002 - a rule without memory
        """Share of exceeded trajectories, completed ones per group, and groups in which nothing is to be learned."""
        compared = trajectories(forest)
        completed = self._completed(forest, compared)
        present = segments.group_count(compared.group, compared.groups, torch.ones_like(completed)) > 0
        per_group = segments.group_count(compared.group, compared.groups, compared.ok & completed)[present]
        credit = self.rule.of(self.compare(forest)).where(compared.ok & completed, 0)
        alive = segments.group_count(compared.group, compared.groups, credit != 0)[present] > 0
        return {
            "credit/exceed_ratio": float((~completed).double().mean()) if len(completed) else 0.0,
            "credit/completed_per_group": float(per_group.double().mean()) if len(per_group) else 0.0,
            "credit/groups_without_gradient": float((~alive).sum()),
        }

    def _completed(self, forest: Forest, compared: Compared) -> Bool[Tensor, " n"]:
        if "end" not in forest:
            return torch.ones_like(compared.ok)
        return ~exceeded(forest["end"][compared.row], self.limits)
