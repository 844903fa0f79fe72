"""Passes over trees that combine siblings: backup from leaves to roots, and inheritance from ancestors.

A chain of only children needs no level of its own: the recurrence along it is affine and is composed by pointer
doubling, so that the work is O(n log length) for chains and one grouped reduction per level of *forks* otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.segments import Backup, Reduce, child_count, nearest, path_sum


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
    return torch.where(source >= 0, value[source.clamp(min=0)], 0)


@dataclass(frozen=True)
class _Chain:
    """state_i = gain_i + scale_i * state_{end_i}, end_i the fork or leaf that ends the run of only children at i."""

    gain: Tensor
    scale: Tensor
    ok: Tensor
    end: Tensor


def _compose_chains(reward: Tensor, discount: Tensor, parent: Tensor, ok: Tensor, count: Tensor) -> _Chain:
    own = torch.arange(len(parent), device=parent.device)
    rows = ((parent >= 0) & (count[parent.clamp(min=0)] == 1)).nonzero().squeeze(1)
    end = own.index_copy(0, parent[rows], rows)
    onward = end != own
    gain = torch.where(onward & ok[end], reward[end], 0)
    scale = torch.where(onward, discount[end], 1)
    fine = torch.where(onward, ok[end], True)
    while not torch.equal(end[end], end):
        gain, scale, fine, end = gain + scale * gain[end], scale * scale[end], fine & fine[end], end[end]
    return _Chain(gain=gain, scale=scale, ok=fine, end=end)


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
        `state` and `step` values, and the rows for which they count; 0 where they do not.

    Source: Bellman's recursion; the mean is the policy's value, the maximum the greedy one, the soft mean that of
    Diffusion Tree Sampling.
    """
    count = child_count(parent)
    chain = _compose_chains(reward, discount, parent, ok, count)
    fork = count > 1
    good = (count == 0) & ok
    state = torch.where(good, leaf_value, 0)
    above = path_sum(fork.long(), parent)
    rows = ((parent >= 0) & fork[parent.clamp(min=0)]).nonzero().squeeze(1)
    level = above[parent[rows]]
    for step_level in range(int(level.max()) if len(level) else 0, 0, -1):
        at = rows[level == step_level]
        end = chain.end[at]
        counts = good[end] & chain.ok[at] & ok[at]
        value = reward[at] + discount[at] * (chain.gain[at] + chain.scale[at] * state[end])
        forks, group = cast("tuple[Tensor, Tensor]", torch.unique(parent[at], return_inverse=True))
        state[forks] = reduce(value, group, len(forks), counts)
        good[forks] = torch.zeros_like(forks, dtype=torch.bool).index_put((group[counts],), counts[counts])
    good = good[chain.end] & chain.ok
    state = torch.where(good, chain.gain + chain.scale * state[chain.end], 0)
    good = good & ok
    return Backup(state=state, step=torch.where(good, reward + discount * state, 0), ok=good)
