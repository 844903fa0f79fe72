"""A-GRAE: group credit weighted by how hard the task is, with its positive side held back while the policy is weak.

Both factors read the accuracy alone, by its name, and the whole batch: a format bonus or a filter would bias them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from milepost import checks, segments
from milepost.credit.compare import Compared, GroupRule, GroupSums, earned, siblings, unfailed, write
from milepost.credit.difficulty import Difficulty, Scheduled
from milepost.credit.group import Normalised
from milepost.credit.sign import Gain, Limited, bounded_sums, sign_gain
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.part import State

LOW_OMEGA = 0.1
"""Below this success rate A-GRAE suppresses nearly all positive credit; `credit/omega_low` counts such families."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Families:
    """Task families of a forest: names, and the family of each row as a number."""

    names: tuple[str, ...]
    row: Int[Tensor, " n"]


def families(forest: Forest) -> Families:
    """Task family of every row, from `label.family` of its root; without that column all rows are one family.

    Args:
        forest: any forest.

    Returns:
        The families in alphabetical order.
    """
    if "label.family" not in forest:
        return Families(names=("",), row=torch.zeros(len(forest), dtype=torch.int64))
    roots = forest.roots()
    column = cast("pa.Array", forest.columns["label.family"])
    named = [str(name or "") for name in column.take(pa.array(roots.numpy())).to_pylist()]
    names = tuple(sorted(set(named)))
    number = {name: index for index, name in enumerate(names)}
    of_root = torch.zeros(len(forest), dtype=torch.int64)
    of_root[roots] = torch.tensor([number[name] for name in named], dtype=torch.int64)
    return Families(names=names, row=of_root[forest.root_of()])


@dataclass(frozen=True, kw_only=True)
class Asymmetric:
    """Group credit times a weight by difficulty, with a gain on its positive side.

        A_i <- f(p, omega) A_i,  then  A_i <- gain(omega) A_i  if A_i > 0

    p is the success rate of the group, omega that of the whole batch, one per task family; both from the accuracy
    component. Give it the batch before dead groups are dropped, else omega leans towards 1/2. For a policy that hardly
    ever succeeds (omega below 0.1) it suppresses almost all positive credit: see `Limited.floor`.

    Source: A-GRAE, arXiv:2602.05548, section 4; one omega per family and declared ranges are milepost's.

    Example:
        >>> from milepost.forest import Forest
        >>> won = [None, 1.0, 0.0, 0.0, 0.0]
        >>> ok = [False, True, True, True, True]
        >>> columns = {"reward.total": won, "ok.total": ok, "reward.solved": won, "ok.solved": ok}
        >>> credit = Asymmetric()(Forest.of([-1, 0, 0, 0, 0], columns))["advantage"]
        >>> bool(credit[1] < -credit[2:].sum())
        True
    """

    writes = ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    """Credit before both factors; it sums to 0 in every group."""
    accuracy: str = "solved"
    """Name of the reward that says whether a leaf succeeded."""
    limits: tuple[float, float] | None = None
    """Smallest and largest accuracy; None: it is 0 or 1, and anything else is refused."""
    weight: Difficulty = field(default_factory=Scheduled)
    gain: Gain = field(default_factory=Limited)

    def __post_init__(self) -> None:
        """Check the declared range."""
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise SettingError(f"limits={self.limits!r} is not allowed: expected (smallest, largest), in this order.")

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs; `label.family` where there is one."""
        return ("reward.total", "ok.total", f"reward.{self.accuracy}", f"ok.{self.accuracy}", "label.family")

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return siblings(forest, needs=(self.accuracy,))

    def omega(self, forest: Forest) -> dict[str, float]:
        """Success rate of the batch, over all its trajectories that count, by task family.

            omega = (mean accuracy - smallest) / (largest - smallest)

        Args:
            forest: the whole batch.

        Returns:
            Family to rate; families without a trajectory that counts are left out.

        Raises:
            ColumnError: an accuracy outside the declared range.
        """
        kind = families(forest)
        leaf = forest.leaves()
        counts = unfailed(forest, ("total", self.accuracy))[leaf] & (forest.parent[leaf] >= 0)
        success = self._scaled(self._checked(earned(forest, self.accuracy)[leaf], counts))
        rate = segments.group_mean(success, kind.row[leaf], len(kind.names), counts)
        known = segments.group_count(kind.row[leaf], len(kind.names), counts)
        return {name: float(rate[index]) for index, name in enumerate(kind.names) if known[index]}

    def _checked(self, value: Tensor, counts: Tensor) -> Tensor:
        low, high = self.limits or (0.0, 1.0)
        wrong = counts & ((value < low) | (value > high))
        if self.limits is None:
            wrong = counts & (value != 0) & (value != 1)
        if bool(wrong.any()):
            expected = "0 or 1" if self.limits is None else f"a number in [{low}, {high}]"
            raise ColumnError(
                f"credit.asymmetric.Asymmetric got an accuracy reward.{self.accuracy} of {float(value[wrong][0])}, "
                f"expected {expected}. Name the reward that says whether an answer is right, or declare its range with "
                "limits=(low, high)."
            )
        return value

    def _scaled(self, value: Tensor) -> Tensor:
        low, high = self.limits or (0.0, 1.0)
        return (value - low) / (high - low)

    def of(self, forest: Forest, omega: Mapping[str, float]) -> Forest:
        """Write `advantage` for given success rates of the batch.

        Args:
            forest: with the total reward and the accuracy.
            omega: success rate by family.

        Returns:
            The forest with `advantage`.

        Raises:
            ColumnError: an accuracy outside the declared range.
        """
        compared = self.compare(forest)
        flat = forest.without("discount") if "discount" in forest else forest  # a rate of success is not discounted
        success = siblings(flat, self.accuracy, needs=("total",)).value
        rate = segments.group_mean(self._scaled(success), compared.group, compared.groups, compared.ok)
        level = self._level(forest, compared, omega)
        credit = self.rule.of(compared) * self.weight.of(rate[compared.group], level)
        return write(forest, compared, sign_gain(credit, self.gain.of(level)))

    def _level(self, forest: Forest, compared: Compared, omega: Mapping[str, float]) -> Tensor:
        kind = families(forest)
        by_family = torch.tensor([omega.get(name, 0.0) for name in kind.names], dtype=torch.float64)
        return by_family[kind.row[compared.row]]

    def sums(self, forest: Forest) -> GroupSums:
        """A group sums to (gain - 1) times its negative credit."""
        compared = self.compare(forest)
        level = self._level(forest, compared, self.omega(forest))
        gain = torch.ones(compared.groups, dtype=torch.float64).index_copy(0, compared.group, self.gain.of(level))
        return bounded_sums(compared, forest["advantage"][compared.row], gain, gain)

    def metrics(self, forest: Forest, state: State = None) -> dict[str, float]:  # noqa: ARG002 - it has no state
        """Numbers that explain the credit of a batch; see `describe`."""
        return describe(self.omega(forest), self.gain)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        return self.of(forest, self.omega(forest))


def describe(omega: Mapping[str, float], gain: Gain) -> dict[str, float]:
    """Metrics of the success rates that A-GRAE goes by.

    Args:
        omega: success rate by family.
        gain: gain on positive credit.

    Returns:
        `credit/omega` (mean over families), `credit/positive_gain` (likewise) and `credit/omega_low`: the number of
        families below 0.1, where almost nothing is learnt from success; nothing when no family is known.
    """
    if not omega:
        return {}
    level = torch.tensor(list(omega.values()), dtype=torch.float64)
    return {
        "credit/omega": float(level.mean()),
        "credit/positive_gain": float(gain.of(level).mean()),
        "credit/omega_low": float((level < LOW_OMEGA).sum()),
    }


@dataclass(frozen=True, kw_only=True)
class Memory:
    """State of `Smoothed`: the success rate of each task family seen so far."""

    omega: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Smoothed:
    """`Asymmetric` with an omega that follows the batches slowly: omega <- keep omega + (1 - keep) omega of the batch.

    For batches with few tasks, whose omega is noisy. A family that a batch does not hold keeps its omega.

    Source: milepost; the paper uses the omega of one batch.   Limits: keep = 0 is `Asymmetric`.

    Example:
        >>> Smoothed(keep=0.9).init()
        Memory(omega={})
    """

    writes = ("advantage",)
    credit: Asymmetric = field(default_factory=Asymmetric)
    keep: float = 0.9
    """Share of the old omega that is kept, in [0, 1)."""

    def __post_init__(self) -> None:
        """Check the share."""
        checks.within("keep", self.keep, 0.0, 1.0 - 1e-9)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs."""
        return self.credit.reads

    def init(self) -> Memory:
        """State before the first batch."""
        return Memory(omega={})

    def apply(self, forest: Forest, state: Memory) -> tuple[Forest, Memory]:
        """Write `advantage` with the omega that includes this batch, and return the next state."""
        fresh = self.credit.omega(forest)
        omega = dict(state.omega)
        for name, rate in fresh.items():
            omega[name] = self.keep * omega.get(name, rate) + (1 - self.keep) * rate
        return self.credit.of(forest, omega), Memory(omega=omega)

    def compare(self, forest: Forest) -> Compared:
        """Siblings, by total reward."""
        return self.credit.compare(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """A group sums to (gain - 1) times its negative credit, with a gain between those of omega 0 and 1."""
        compared = self.compare(forest)
        ends = self.credit.gain.of(torch.tensor([0.0, 1.0], dtype=torch.float64))
        low, high = (end.expand(compared.groups) for end in (ends.min(), ends.max()))
        return bounded_sums(compared, forest["advantage"][compared.row], low, high)

    def metrics(self, forest: Forest, state: Memory) -> dict[str, float]:  # noqa: ARG002 - the state knows all
        """Numbers that explain the credit of a batch, after `apply` returned `state`; see `describe`."""
        return describe(state.omega, self.credit.gain)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage` as for a first batch."""
        return self.apply(forest, self.init())[0]
