"""What a grown tree says of the target: the chance of every trajectory, draws from it, and the best one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import backup, checks, keys, segments
from milepost.columns import End
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.segments import Backup, Reduce


class Shares(Protocol):
    """Chance of every row to be on the way of a draw."""

    def __call__(self, forest: Forest) -> Float[Tensor, " n"]:
        """One number per row; the leaves of every root that has any sum to 1."""
        ...


def values(forest: Forest, reduce: Reduce) -> Backup:
    """Values of all rows, backed up from the rewards of the leaves.

    Args:
        forest: a grown tree, its leaves scored.
        reduce: how the values of children become that of the node.

    Returns:
        `state` of every row, and where it counts: at or above a leaf whose reward does.

    Raises:
        ColumnError: nothing was scored.
    """
    if "reward.total" not in forest:
        raise ColumnError(
            f"A draw needs column 'reward.total', but the forest has: {', '.join(forest.names)}. Score its leaves "
            "first."
        )
    leaf = segments.child_count(forest.parent) == 0
    ok = ~leaf | (forest["ok.total"] & forest.valid("reward.total") & (forest["end"] != int(End.PRUNED)))
    reward = torch.where(leaf & ok, forest["reward.total"].double(), 0)
    nothing = torch.zeros_like(reward)
    return backup.backup(reward, nothing + 1, nothing, forest.parent, ok, reduce=reduce)


def shares(step: Float[Tensor, " n"], parent: Int[Tensor, " n"], ok: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Chance of every row when a walk goes from each root to a leaf and takes children by a softmax.

        share_i = share_{parent_i} exp(step_i) / sum over the siblings of exp(step_j);   1 at a root

    With step = value / T, where values are backed up by the soft mean at temperature T, the share of a leaf is
    exp((reward - value of the root) / T) / product over its ancestors of the number of their children.

    Args:
        step: one number per row, in nats.
        parent: row of the step before, -1 for a root.
        ok: rows that may be walked to.

    Returns:
        In [0, 1].

    Source: Diffusion Tree Sampling, arXiv:2506.20701, drawing from the finished tree.
    Limits: a tree that branches at its root only gives self-normalised importance resampling.
    """
    below = parent >= 0
    chance = segments.group_softmax(step, parent.clamp(min=0), len(parent), ok & below)
    log_chance = torch.where(below, chance.log(), 0)
    return segments.path_sum(log_chance.clamp(min=-1e300), parent).exp()


@dataclass(frozen=True, kw_only=True)
class SoftShares:
    """Chances by soft values: draws from p(x) exp(reward(x) / T), as far as the tree knows it.

    Example:
        >>> answers = {"reward.total": [None, 0.0, 1.0], "ok.total": [False, True, True], "end": [0, 1, 1]}
        >>> [round(one, 3) for one in SoftShares()(Forest.of([-1, 0, 0], answers)).tolist()]
        [1.0, 0.269, 0.731]
    """

    temperature: float = 1.0
    """T, in reward units."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    def __call__(self, forest: Forest) -> Tensor:
        """Chance of every row."""
        found = values(forest, partial(segments.group_soft_mean, temperature=self.temperature))
        return shares(found.step / self.temperature, forest.parent, found.ok)


@dataclass(frozen=True, kw_only=True)
class HighestValue:
    """All of the chance to the leaf at the end of the walk that takes the highest value at every fork.

    With the soft mean a spike that the policy hardly ever reaches has little value, which guards against searching out
    what a reward wrongly likes.   Limits: temperature -> 0 is the leaf with the highest reward; so is a tree that
    branches at its root only.

    Example:
        >>> answers = {"reward.total": [None, 0.0, 1.0], "ok.total": [False, True, True], "end": [0, 1, 1]}
        >>> HighestValue()(Forest.of([-1, 0, 0], answers)).tolist()
        [1.0, 0.0, 1.0]
    """

    temperature: float = 1.0
    """Of the soft mean, in reward units."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        checks.positive("temperature", self.temperature)

    def __call__(self, forest: Forest) -> Tensor:
        """1 on the way to the chosen leaf of every root, else 0."""
        found = values(forest, partial(segments.group_soft_mean, temperature=self.temperature))
        below, size = found.ok & (forest.parent >= 0), len(forest)
        best = segments.group_max(found.step, forest.parent.clamp(min=0), size, below)
        place = (below & (found.step == best[forest.parent.clamp(min=0)])).nonzero().squeeze(1)
        first = torch.full((size,), size).scatter_reduce(0, forest.parent[place], place, "amin")
        taken = torch.zeros(size + 1, dtype=torch.bool).index_fill(0, first, True)[:size] | (forest.parent < 0)
        return (segments.path_sum((~taken).long(), forest.parent) == 0).double()


def draw(forest: Forest, share: Float[Tensor, " n"], count: int, purpose: str) -> Int[Tensor, "r k"]:
    """Draw leaves by their chances, with repeats, from the key of each root.

    Args:
        forest: a grown tree.
        share: chance of each row, as from `SoftShares`.
        count: how many of each root.
        purpose: of the draws, part of their key.

    Returns:
        Row numbers; -1 where a root has no leaf that counts.
    """
    roots, of, leaves = forest.roots(), forest.root_of(), forest.leaves()
    found = torch.full((len(roots), count), -1)
    for place, root in enumerate(roots.tolist()):
        own = leaves[(of[leaves] == root) & (leaves != root) & (share[leaves] > 0)]
        if len(own):
            number = keys.generator(keys.fold(int(forest["key"][root]), purpose)).random(count)
            whole = share[own].cumsum(0)
            position = torch.searchsorted(whole, torch.from_numpy(number) * whole[-1], right=True)
            found[place] = own[position.clamp(max=len(own) - 1)]
    return found
