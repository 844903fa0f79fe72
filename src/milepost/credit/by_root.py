"""Credit that compares all trajectories of a root, wherever they branched."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import backup, segments
from milepost.credit.compare import Compared, GroupRule, GroupSums, earned, unfailed
from milepost.credit.group import Normalised, zero_sums
from milepost.forest import Forest


def trajectories(forest: Forest, name: str = "total") -> Compared:
    """Compare the leaves of each root by the return of their trajectory.

        return_l = sum over the path to l of (product of the discounts before) * reward

    Args:
        forest: with `reward.<name>` and `ok.<name>`; `discount` is 1 where the column is missing.
        name: name of the reward.

    Returns:
        One entry per leaf that is not a root; the group is the row of its root.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    leaf = forest.leaves()
    leaf = leaf[forest.parent[leaf] >= 0]
    paths = forest.paths(leaf)
    place = torch.arange(len(paths.values))
    chain = torch.where(place == paths.offsets[:-1][paths.row], -1, place - 1)
    reward = earned(forest, name)[paths.values]
    discount = forest["discount"].double()[paths.values] if "discount" in forest else torch.ones_like(reward)
    every = torch.ones_like(chain, dtype=torch.bool)
    found = backup.backup(reward, discount, torch.zeros_like(reward), chain, every, reduce=segments.group_mean)
    value, ok = found.state[paths.offsets[:-1]], unfailed(forest, (name,))[leaf]
    return Compared(row=leaf, value=torch.where(ok, value, 0), group=forest.root_of()[leaf], groups=len(forest), ok=ok)


def mean_below(forest: Forest, compared: Compared, credit: Float[Tensor, " n"]) -> Forest:
    """Write the credit of leaves as `advantage` of every step above them: a shared step gets the mean over its leaves.

        advantage_i = mean of credit_l over the ok leaves l at or below i

    Args:
        forest: any forest.
        compared: leaves, as from `trajectories`.
        credit: one number per leaf.

    Returns:
        The forest with `advantage`; missing at roots and above nothing but leaves that are not ok.
    """
    paths = forest.paths(compared.row)
    counts = compared.ok[paths.row] & (forest.parent[paths.values] >= 0)
    every, size = credit[paths.row], len(forest)
    value = segments.group_mean(every, paths.values, size, counts)
    ok = segments.group_count(paths.values, size, counts) > 0
    return forest.with_columns({"advantage": value}).with_valid("advantage", ok)


@dataclass(frozen=True, kw_only=True)
class ByRoot:
    """Group credit over all leaves of a root; a step shared by several trajectories gets the mean of their credit.

    On answers of one turn this is the rule itself over siblings. An objective that counts a shared step once per
    trajectory makes the mean a sum, so the policy gradient is that of the separate trajectories.

    Source: the outcome supervision of GRPO, arXiv:2402.03300, section 4.1.2, on trajectories that share steps.

    Example:
        >>> from milepost.forest import Forest
        >>> tree = {"reward.total": [None, None, 2.0, 1.0, 0.0], "ok.total": [False, False, True, True, True]}
        >>> ByRoot(rule=Normalised(eps=0.0))(Forest.of([-1, 0, 0, 1, 1], tree))["advantage"][1:3].tolist()
        [-0.6123724579811096, 1.2247449159622192]
    """

    reads, writes = ("reward.total", "ok.total"), ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    """Credit inside the group of a root."""

    def compare(self, forest: Forest) -> Compared:
        """Leaves of each root, by return."""
        return trajectories(forest)

    def sums(self, forest: Forest) -> GroupSums:
        """The credit of the leaves of every root sums to 0."""
        return zero_sums(trajectories(forest))

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = trajectories(forest)
        return mean_below(forest, compared, self.rule.of(compared))
