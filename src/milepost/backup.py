"""Passes over trees: backup from leaves to roots, inheritance from ancestors, and what lies above.

Shallow trees are backed up level by level, in O(n). In deep ones a chain of only children needs no level of its own:
the recurrence along it is affine and is composed by pointer doubling, so that the work is O(n log length) for chains,
and one grouped reduction for each level of *forks*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.segments import Backup, Reduce, child_count, depth, group_count, nearest, path_sum

_MOST_LEVELS = 256
"""Deeper trees are backed up by forks: a level costs some 0.1 ms however few rows it has."""


def inherit(value: Float[Tensor, " n"], has: Bool[Tensor, " n"], parent: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Give every row the value of the nearest row at or above it that has one.

        inherit_i = value_i if has_i else inherit_{parent_i};  0 where no ancestor has one

    Args:
        value: one number per row, read where `has` is true.
        has: rows with a value of their own.
        parent: row of the step before, -1 for a root.

    Returns:
        One number per row.

    Source: milepost: a step without siblings inherits the credit of its nearest ancestor that has some.
    """
    source = nearest(parent, has)
    return torch.where(source >= 0, value.index_select(0, source.clamp(min=0)), 0)


def at_or_above(marked: Bool[Tensor, " n"], parent: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Rows that are marked or have a marked row below them.

    Args:
        marked: any rows.
        parent: row of the step before, -1 for a root.

    Returns:
        One truth value per row. Pointer doubling: O(n log depth).
    """
    size = len(parent)
    found = torch.cat((marked, marked.new_zeros(1))).to(torch.int32)
    link = torch.cat((torch.where(parent >= 0, parent, size), parent.new_full((1,), size)))
    while bool((link < size).any()):
        found = found.scatter_reduce(0, link, found, "amax")
        link = link.index_select(0, link)
    return found[:size] > 0


@dataclass(frozen=True, kw_only=True)
class _Nodes:
    """What the passes read of every row."""

    reward: Tensor
    discount: Tensor
    parent: Tensor
    ok: Tensor
    leaf: Tensor

    def reordered(self, levels: _Levels) -> _Nodes:
        """The rows level by level."""
        order, place = cast("Tensor", levels.order), levels.place
        above = self.parent.index_select(0, order)
        return _Nodes(
            reward=self.reward.index_select(0, order),
            discount=self.discount.index_select(0, order),
            parent=torch.where(above >= 0, place.index_select(0, above.clamp(min=0)), -1),
            ok=self.ok.index_select(0, order),
            leaf=self.leaf.index_select(0, order),
        )


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """Rows by depth: row `order[j]` stands at place j, level k begins at `starts[k]`; None: they stand so already."""

    starts: list[int]
    order: Tensor | None
    place: Tensor


def _levels(parent: Tensor) -> _Levels | None:
    """Levels of the trees, or None when there are more than `_MOST_LEVELS`."""
    rows = len(parent)
    if bool((parent[1:] >= parent[:-1]).all()):  # grown level by level: the children of a level stand together
        above, starts = parent.numpy(), [0]
        while (end := int(above.searchsorted(starts[-1]))) < rows:
            if len(starts) > _MOST_LEVELS:
                return None
            starts.append(end)
        return _Levels(starts=[*starts, rows], order=None, place=parent)
    level = depth(parent)
    size = torch.bincount(level)
    if len(size) > _MOST_LEVELS:
        return None
    order = level.to(torch.int16).sort(stable=True).indices
    place = torch.empty_like(order).scatter_(0, order, torch.arange(rows))
    return _Levels(starts=[0, *size.cumsum(0).tolist()], order=order, place=place)


def _by_level(nodes: _Nodes, starts: list[int], state: Tensor, good: Tensor, reduce: Reduce) -> None:
    """Fill in `state` and `good` in place, from the deepest level up; rows stand level by level."""
    for above, low, high in reversed(list(zip(starts[:-2], starts[1:-1], starts[2:], strict=True))):
        rows, size = slice(low, high), low - above
        group, counts = nodes.parent[rows] - above, good[rows] & nodes.ok[rows]
        value = reduce(nodes.reward[rows] + nodes.discount[rows] * state[rows], group, size, counts)
        state[above:low] = torch.where(nodes.leaf[above:low], state[above:low], value)
        good[above:low] |= group_count(group, size, counts) > 0


@dataclass(frozen=True, kw_only=True)
class _Chain:
    """state_i = gain_i + scale_i * state_{end_i}, end_i the fork or leaf that ends the run of only children at i."""

    gain: Tensor
    scale: Tensor
    ok: Tensor
    end: Tensor


def _compose_chains(nodes: _Nodes, count: Tensor) -> _Chain:
    own = torch.arange(len(nodes.parent))
    rows = ((nodes.parent >= 0) & (count.index_select(0, nodes.parent.clamp(min=0)) == 1)).nonzero().squeeze(1)
    end = own.index_copy(0, nodes.parent.index_select(0, rows), rows)
    onward = end != own
    fine = nodes.ok.index_select(0, end) | ~onward
    gain = torch.where(onward & fine, nodes.reward.index_select(0, end), 0)
    scale = torch.where(onward, nodes.discount.index_select(0, end), 1)
    while not torch.equal(further := end.index_select(0, end), end):
        gain, scale = gain + scale * gain.index_select(0, end), scale * scale.index_select(0, end)
        fine, end = fine & fine.index_select(0, end), further
    return _Chain(gain=gain, scale=scale, ok=fine, end=end)


def _by_fork(nodes: _Nodes, state: Tensor, good: Tensor, reduce: Reduce) -> tuple[Tensor, Tensor]:
    """`state` and `good` of trees with long chains: one reduction for each level of forks."""
    parent, count = nodes.parent, child_count(nodes.parent)
    chain, fork = _compose_chains(nodes, count), count > 1
    rows = ((parent >= 0) & fork.index_select(0, parent.clamp(min=0))).nonzero().squeeze(1)
    level = path_sum(fork.long(), parent).index_select(0, parent.index_select(0, rows)) if len(rows) else rows
    for step_level in range(int(level.max()) if len(level) else 0, 0, -1):
        at = rows[level == step_level]
        end = chain.end[at]
        counts = good[end] & chain.ok[at] & nodes.ok[at]
        value = nodes.reward[at] + nodes.discount[at] * (chain.gain[at] + chain.scale[at] * state[end])
        forks, group = cast("tuple[Tensor, Tensor]", torch.unique(parent[at], return_inverse=True))
        state[forks] = reduce(value, group, len(forks), counts)
        good[forks] = group_count(group, len(forks), counts) > 0
    end = chain.end
    return chain.gain + chain.scale * state.index_select(0, end), good.index_select(0, end) & chain.ok


def backup(
    reward: Float[Tensor, " n"],
    discount: Float[Tensor, " n"],
    leaf_value: Float[Tensor, " n"],
    parent: Int[Tensor, " n"],
    ok: Bool[Tensor, " n"],
    *,
    reduce: Reduce,
) -> Backup:
    """Back values up from the leaves, combining siblings with `reduce`.

        step_i  = reward_i + discount_i * state_i
        state_i = leaf_value_i                                  for a leaf
        state_i = reduce of step_j over the ok children j of i  otherwise

    Args:
        reward: reward of the step into each row; NaN allowed where not ok.
        discount: in [0, 1]; 0 at termination, unchanged at truncation.
        leaf_value: value of the state of each leaf (0 after termination); read at ok leaves only.
        parent: row of the step before, -1 for a root.
        ok: rows whose own numbers count; a row above nothing but rows that do not count does not count either.
        reduce: grouped reduction that returns the value itself for a single row, such as `segments.group_mean`.

    Returns:
        `state` and `step` values, and the rows for which `step` counts; `step` is 0 where it does not. A row that is
        not ok may still have a `state`: that of the ok rows below it.

    Source: Bellman's recursion; the mean is the policy's value, the maximum the greedy one, the soft mean that of
    Diffusion Tree Sampling.
    """
    if len(parent) == 0:
        return Backup(state=leaf_value, step=reward, ok=ok)
    leaf = child_count(parent) == 0
    nodes = _Nodes(reward=reward, discount=discount, parent=parent, ok=ok, leaf=leaf)
    state, good = torch.where(leaf & ok, leaf_value, 0), leaf & ok
    levels = _levels(parent)
    if levels is None:
        state, good = _by_fork(nodes, state, good, reduce)
    elif levels.order is None:
        _by_level(nodes, levels.starts, state, good, reduce)
    else:
        state, good = state.index_select(0, levels.order), good.index_select(0, levels.order)
        _by_level(nodes.reordered(levels), levels.starts, state, good, reduce)
        state, good = state.index_select(0, levels.place), good.index_select(0, levels.place)
    state, good = torch.where(good, state, 0), good & ok
    return Backup(state=state, step=torch.where(good, reward + discount * state, 0), ok=good)
