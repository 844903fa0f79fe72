"""Credit of the nodes of a tree by what follows them: against all nodes as deep, or against their siblings."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from milepost import checks, segments
from milepost.credit.compare import Compared, GroupRule, GroupSums, worth
from milepost.credit.group import Normalised, zero_sums
from milepost.credit.tree.steps import SameTurn
from milepost.forest import Forest

_READS = ("reward.total", "ok.total")
_WRITES = ("advantage",)


def nodes(forest: Forest) -> Compared:
    """Compare the steps of a root that are as deep, by the mean reward of what follows.

    Args:
        forest: with `reward.total` and `ok.total`.

    Returns:
        One entry per row below a root.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    found, row = worth(forest), (forest.parent >= 0).nonzero().squeeze(1)
    group = SameTurn()(forest)[row]
    return Compared(row=row, value=found.value[row], group=group, groups=2 * len(forest), ok=found.ok[row])


def gained(forest: Forest) -> Compared:
    """What each step gains over its siblings: the mean reward of what follows, less the mean of theirs.

    Args:
        forest: with `reward.total` and `ok.total`.

    Returns:
        One entry per row below a root; the group is the row of the parent, and every group sums to 0.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    found, row = worth(forest), (forest.parent >= 0).nonzero().squeeze(1)
    group, ok = forest.parent[row], found.ok[row]
    centre = segments.group_centre(found.value[row], group, len(forest), ok)
    return Compared(row=row, value=centre, group=group, groups=len(forest), ok=ok)


def _written(forest: Forest, compared: Compared, credit: Tensor) -> Forest:
    size = len(forest)
    value = torch.zeros(size, dtype=credit.dtype).index_copy(0, compared.row, credit)
    ok = torch.zeros(size, dtype=torch.bool).index_copy(0, compared.row, compared.ok)
    return forest.with_columns({"advantage": value}).with_valid("advantage", ok)


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Credit of a step: the mean reward of the trajectories through it, against all steps of the root as deep.

    A depth with one node has credit 0. On answers of one turn this is the rule itself; where only the first step
    branches it is `by_root.ByRoot`.

    Source: the depth-wise fusion of BranchGRPO, arXiv:2509.06040, as Dynamic-TreeRPO, arXiv:2509.23352, may use it.
    Limits: for trees whose depths all have as many steps for every trajectory; see `steps.SameTurn` for why.

    Example:
        >>> tree = {"reward.total": [None, None, None, 1.0, 0.0], "ok.total": [False, False, False, True, True]}
        >>> Nodes(rule=Normalised(eps=0.0))(Forest.of([-1, 0, 0, 1, 2], tree))["advantage"][1:].tolist()
        [1.0, -1.0, 1.0, -1.0]
    """

    reads, writes = _READS, _WRITES
    rule: GroupRule = field(default_factory=lambda: Normalised(eps=1e-8))

    def compare(self, forest: Forest) -> Compared:
        """Steps as deep."""
        return nodes(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """Every depth of a root sums to 0."""
        return zero_sums(nodes(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = nodes(forest)
        return _written(forest, compared, self.rule.of(compared))


@dataclass(frozen=True, kw_only=True)
class Siblings:
    """Credit of a step: how much better what follows it is than what follows its siblings, in units of its depth.

        advantage_i = (worth_i - mean of the siblings' worth) / (standard deviation of the worth of all as deep + eps)

    Given the state the expectation of what is subtracted does not depend on the step, so that sharing a prefix does not
    bias the gradient. A step without siblings has 0.

    Source: the sampled advantage of tree searches; TreeRPO, arXiv:2506.05183.

    Example:
        >>> tree = {"reward.total": [None, None, 1.0, 0.0], "ok.total": [False, False, True, True]}
        >>> Siblings(eps=0.0)(Forest.of([-1, 0, 1, 1], tree))["advantage"][1:].tolist()
        [0.0, 1.0, -1.0]
    """

    reads, writes = _READS, _WRITES
    eps: float = 1e-8
    """Added to the standard deviation, in reward units."""

    def __post_init__(self) -> None:
        """Check the range."""
        checks.non_negative("eps", self.eps)

    def sums(self, forest: Forest) -> GroupSums:
        """Siblings sum to 0."""
        return zero_sums(gained(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        own, level = gained(forest), nodes(forest)
        spread = segments.group_std(level.value, level.group, level.groups, level.ok, ddof=0)[level.group] + self.eps
        return _written(forest, own, torch.where(spread > 0, own.value / spread, 0))
