"""Credit of base trajectories and their retries: amplified successes, and no credit on what both share."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks
from milepost.backup import at_or_above
from milepost.credit.by_root import mean_below, trajectories
from milepost.credit.compare import Compared, GroupRule
from milepost.credit.group import Centred
from milepost.credit.tree.separate import branched, inserted_rows, rebuilt
from milepost.forest import Forest


def amplify_capped(
    credit: Float[Tensor, " n"], reward: Float[Tensor, " n"], *, gain: float, full: float
) -> Float[Tensor, " n"]:
    """Amplify what went well; a full success always has credit 1.

        A' = 1 if r >= full, gain A if A >= 0, else A

    Args:
        credit: A, one number per trajectory.
        reward: r of each.
        gain: at least 0.
        full: reward of a full success.

    Returns:
        Credit. A group of nothing but full successes has credit 1 throughout: it is imitated.

    Source: the authors' code of R3L.   Limits: with rewards 0 and 1 the gain never applies.
    """
    return torch.where(reward >= full, 1.0, torch.where(credit >= 0, gain * credit, credit))


def amplify(
    credit: Float[Tensor, " n"], reward: Float[Tensor, " n"], *, gain: float, full: float
) -> Float[Tensor, " n"]:
    """Amplify what went well; a full success has the gain itself as credit.

        A' = gain if r >= full, gain A if A > 0, else A

    Args:
        credit: A, one number per trajectory.
        reward: r of each.
        gain: at least 0.
        full: reward of a full success.

    Returns:
        Credit.

    Source: R3L, positive amplification as published.
    """
    return torch.where(reward >= full, gain, torch.where(credit > 0, gain * credit, credit))


@dataclass(frozen=True, kw_only=True)
class AmplifiedCapped:
    """Group credit amplified as in the authors' code of R3L: see `amplify_capped`.

    Example:
        >>> AmplifiedCapped(gain=3.0).full
        1.0
    """

    rule: GroupRule = field(default_factory=Centred)
    gain: float = 3.0
    full: float = 1.0
    """Reward of a full success."""

    def __post_init__(self) -> None:
        """Check the gain."""
        checks.non_negative("gain", self.gain)

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups; it does not sum to 0."""
        found = amplify_capped(self.rule.of(compared), compared.value, gain=self.gain, full=self.full)
        return torch.where(compared.ok, found, 0)


@dataclass(frozen=True, kw_only=True)
class Amplified:
    """Group credit amplified as published: see `amplify`.

    Example:
        >>> Amplified(gain=3.0).gain
        3.0
    """

    rule: GroupRule = field(default_factory=Centred)
    gain: float = 3.0
    full: float = 1.0
    """Reward of a full success."""

    def __post_init__(self) -> None:
        """Check the gain."""
        checks.non_negative("gain", self.gain)

    def of(self, compared: Compared) -> Float[Tensor, " n"]:
        """Credit inside given groups; it does not sum to 0."""
        found = amplify(self.rule.of(compared), compared.value, gain=self.gain, full=self.full)
        return torch.where(compared.ok, found, 0)


def shared_prefix(forest: Forest) -> Bool[Tensor, " n"]:
    """Steps that a base trajectory shares with its retry: those above an inserted row.

    Args:
        forest: any forest.

    Returns:
        One truth value per row; roots and inserted rows have none.
    """
    inserted = inserted_rows(forest)
    return at_or_above(inserted, forest.parent) & ~inserted & (forest.parent >= 0)


def repeats(forest: Forest) -> Bool[Tensor, " n"]:
    """Leaves of retries that say, step for step, what their base said from the pivot on: nothing was tried.

    Args:
        forest: with `text`, `key` and `branch_of` where it has inserted rows.

    Returns:
        One truth value per row.
    """
    found = torch.zeros(len(forest), dtype=torch.bool)
    if "branch_of" not in forest or "text" not in forest:
        return found
    texts, inserted = forest.text("text"), inserted_rows(forest)
    row_of = {key: row for row, key in enumerate(forest["key"].tolist())}
    leaves = forest.leaves()
    ways = {row: forest.path(row).tolist() for row in leaves.tolist()}
    for row in leaves[branched(forest)[leaves]].tolist():
        path = ways[row]
        place = next(step for step, at in enumerate(path) if bool(inserted[at]))
        base = row_of.get(int(forest["branch_of"][path[place]]))
        tried = [texts[step] for step in path[place + 1 :]]
        bases = [way for way in ways.values() if base in way]
        found[row] = any(tried == [texts[step] for step in way[place:]] for way in bases)
    return found


@dataclass(frozen=True, kw_only=True)
class PivotCredit:
    """Group credit over base trajectories and retries of a root, without any on the steps that both share.

    A retry that repeats its base does not count. Shared steps have missing credit: which of the two was right says
    nothing about them, if the pair is the group. In a larger group the sum of both credits is not 0, and the mask then
    deletes a real signal about good prefixes: it is a bias, which `masked=False` removes.

    Source: R3L, the pivotal credit.   Limits: without retries, with `Centred`, REINFORCE with the group's mean.

    Example:
        >>> PivotCredit(rule=Centred()).masked
        True
    """

    reads, writes = ("reward.total", "ok.total", "origin", "branch_of", "key", "text"), ("advantage",)
    rule: GroupRule = field(default_factory=AmplifiedCapped)
    masked: bool = True

    def counted(self, forest: Forest) -> Compared:
        """Trajectories of each root by return; repeated ones are not ok."""
        found = trajectories(forest)
        ok = found.ok & ~repeats(forest)[found.row]
        return Compared(row=found.row, value=found.value.where(ok, 0), group=found.group, groups=found.groups, ok=ok)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = self.counted(forest)
        found = mean_below(forest, compared, self.rule.of(compared))
        if not self.masked:
            return found
        hidden = shared_prefix(forest)
        valid = found.valid("advantage") & ~hidden
        return found.with_columns({"advantage": found["advantage"].where(valid, 0)}).with_valid("advantage", valid)


@dataclass(frozen=True, kw_only=True)
class WithoutAdvice:
    """View in which retries stand as if nobody had advised them: inserted rows are left out, their children move up.

    With `imitate`, retries that reach `full` and better than their base are added once more with the advice, as a tree
    of their own, with credit 1 on the steps after it: advice that works is learned to be followed.

    Implements `recipe.View`. The recorded log-probabilities stay those with the advice.

    Source: R3L, the training views of a retry.

    Example:
        >>> forest = Forest.of([-1, 0], {"advantage": [None, 1.0]})
        >>> WithoutAdvice()(forest) is forest
        True
    """

    imitate: bool = True
    full: float = 1.0
    """Reward of a full success."""

    def __call__(self, forest: Forest) -> Forest:
        """The forest to train on."""
        inserted = inserted_rows(forest)
        if not bool(inserted.any()):
            return forest
        rows = (~inserted).nonzero().squeeze(1)
        place = torch.full((len(forest),), -1, dtype=torch.int64).index_copy(0, rows, torch.arange(len(rows)))
        above = forest.parent[rows]
        above = torch.where(inserted[above.clamp(min=0)] & (above >= 0), forest.parent[above.clamp(min=0)], above)
        views = [rebuilt(forest, rows, torch.where(above >= 0, place[above.clamp(min=0)], -1))]
        return Forest.concatenate([*views, *(self._guided(forest, row) for row in self._worked(forest))])

    def _worked(self, forest: Forest) -> list[int]:
        """Leaves of retries that succeeded where no base step from the pivot on did."""
        if not self.imitate:
            return []
        leaf, below = forest.leaves(), branched(forest)
        reward = forest["reward.total"].where(forest["ok.total"], -torch.inf)
        row_of = {key: row for row, key in enumerate(forest["key"].tolist())}
        found: list[int] = []
        for row in leaf[below[leaf] & forest.valid("advantage")[leaf] & (reward[leaf] >= self.full)].tolist():
            origin = next(int(forest["branch_of"][at]) for at in forest.path(row).tolist() if inserted_rows(forest)[at])
            base = forest.subtree(row_of[origin])
            base = base[torch.isin(base, leaf)]
            if bool((reward[base] < reward[row]).all()):
                found.append(row)
        return found

    def _guided(self, forest: Forest, row: int) -> Forest:
        path = forest.path(row)
        alone = rebuilt(forest, path, torch.arange(len(path)) - 1)
        after = branched(alone) & ~inserted_rows(alone)
        return alone.with_columns({"advantage": after.to(forest["advantage"].dtype)}).with_valid("advantage", after)
