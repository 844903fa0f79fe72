"""Credit on two levels: how the trajectory did among its group, and how the step did among steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from milepost import checks, segments
from milepost.credit.by_root import mean_below, trajectories
from milepost.credit.compare import Compared, GroupRule, GroupSums
from milepost.credit.group import Normalised, zero_sums
from milepost.credit.tree.steps import Among, SameRoot, compare_steps
from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class TwoLevel:
    """Credit of the trajectory, plus `weight` times credit of the step.

        A_i = A_E(trajectory of i) + weight * A_S(i)

    A_E compares the trajectories of a root by their return, A_S single steps by a reward of their own. Groups whose
    outcomes are all equal have A_E = 0 and are told apart by A_S alone, unless `gate` is on. A step without that reward
    has A_S = 0.

    Source: OPRL, the combined advantage; with other parts the episode and step advantages of GiGPO, arXiv:2505.10978.
    Limits: weight 0 is `by_root.ByRoot`, to the bit.

    Example:
        >>> TwoLevel(step_reward="implicit", weight=1.0).writes
        ('advantage',)
    """

    writes = ("advantage",)
    step_reward: str
    """Name of the reward of steps."""
    episode: GroupRule = field(default_factory=Normalised)
    step: GroupRule = field(default_factory=Normalised)
    weight: float = 1.0
    """Of the credit of the step, at least 0."""
    among: Among = field(default_factory=SameRoot)
    """Which steps are compared with each other."""
    gate: bool = False
    """Whether groups with equal outcomes get no credit at all."""

    def __post_init__(self) -> None:
        """Check the weight."""
        checks.non_negative("weight", self.weight)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs; `origin` where there is one."""
        return ("reward.total", "ok.total", f"reward.{self.step_reward}", f"ok.{self.step_reward}", "origin")

    def compare_steps(self, forest: Forest) -> Compared:
        """Steps of trajectories that count, by their own reward."""
        counts = mean_below(forest, found := trajectories(forest), found.value).valid("advantage")
        own = compare_steps(forest, self.step_reward, self.among)
        ok = own.ok & counts[own.row]
        return Compared(row=own.row, value=own.value, group=own.group, groups=own.groups, ok=ok)

    def sums(self, forest: Forest) -> GroupSums:
        """The credit of the leaves of a root sums to 0 where the steps have no weight; else nothing is promised."""
        compared = trajectories(forest)
        promise = zero_sums(compared)
        wide = torch.full_like(promise.high, torch.inf if self.weight > 0 else 0.0)
        return GroupSums(compared=compared, low=-wide, high=wide)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = trajectories(forest)
        whole = mean_below(forest, compared, self.episode.of(compared))
        if self.weight == 0:
            return whole
        steps = self.compare_steps(forest)
        credit = self.weight * self.step.of(steps).double()
        if self.gate:
            high = segments.group_max(compared.value, compared.group, compared.groups, compared.ok)
            low = segments.group_min(compared.value, compared.group, compared.groups, compared.ok)
            credit = torch.where((high > low)[forest.root_of()[steps.row]], credit, 0)
        value, ok = whole["advantage"].double(), whole.valid("advantage")
        value = torch.where(ok, value.index_add(0, steps.row, credit), 0)
        return whole.with_columns({"advantage": value}).with_valid("advantage", ok)
