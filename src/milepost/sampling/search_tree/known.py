"""What a search knows of every row of its tree: value, visits, depth; and how a finished trajectory changes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import segments
from milepost.forest import Forest
from milepost.segments import Reduce


def _no_rows() -> Tensor:
    return torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """State of a search: one entry per row of the forest, and per root in the order of the roots."""

    value: Float[Tensor, " n"]
    """Of the state arrived at, in reward units, float64; read where `ok`."""
    ok: Bool[Tensor, " n"]
    """Rows at or above a finished trajectory whose reward counts."""
    visits: Int[Tensor, " n"]
    """1 for a row that was never passed."""
    depth: Int[Tensor, " n"]
    descents: Int[Tensor, " r"]
    """Walks down the tree of each root."""
    calls: Float[Tensor, " r"]
    """Model calls spent on each root."""
    targets: Int[Tensor, " k"] = field(default_factory=_no_rows)
    """Rows that get a child next; one that gets two is named twice."""


def begin(forest: Forest) -> Known:
    """What is known of bare roots.

    Args:
        forest: roots.

    Returns:
        Values of nothing, one visit each.
    """
    size = len(forest)
    zero = torch.zeros(size, dtype=torch.int64)
    nothing = torch.zeros(size, dtype=torch.float64)
    return Known(
        value=nothing, ok=zero > 0, visits=zero + 1, depth=zero, descents=zero[forest.roots()],
        calls=nothing[forest.roots()],
    )  # fmt: skip


def longer(known: Known, forest: Forest, rows: Int[Tensor, " k"]) -> Known:
    """Add rows that were just grown, and what they cost.

    Args:
        known: of the rows before them.
        forest: with the new rows.
        rows: their numbers; those that have ended have `reward.total`.

    Returns:
        The longer record. A row whose reward failed has no value.
    """
    count = len(rows)
    value, ok = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.bool)
    ended = forest["end"][rows] != 0
    if bool(ended.any()):
        ok = ended & forest["ok.total"][rows] & forest.valid("reward.total")[rows]
        value = torch.where(ok, forest["reward.total"][rows].double(), 0)
    calls = known.calls
    if "cost.model_calls" in forest:
        place = torch.searchsorted(forest.roots(), forest.root_of()[rows])
        spent = torch.where(forest.valid("cost.model_calls"), forest["cost.model_calls"], 0)[rows]
        calls = calls.index_add(0, place, spent)
    return replace(
        known,
        value=torch.cat((known.value, value)),
        ok=torch.cat((known.ok, ok)),
        visits=torch.cat((known.visits, torch.ones(count, dtype=torch.int64))),
        depth=torch.cat((known.depth, known.depth[forest.parent[rows]] + 1)),
        calls=calls,
    )


def below(parent: Int[Tensor, " n"], nodes: Int[Tensor, " g"]) -> tuple[Tensor, Tensor]:
    """Children of some rows.

    Args:
        parent: row before each row.
        nodes: row numbers, each once.

    Returns:
        Rows of the children, rising, and for each the place of its parent in `nodes`.
    """
    place = torch.full((len(parent) + 1,), -1)
    place[nodes] = torch.arange(len(nodes))
    of = place[parent]  # a root's parent is -1, the last entry, which is never a node
    rows = (of >= 0).nonzero().squeeze(1)
    return rows, of[rows]


def visited(known: Known, parent: Int[Tensor, " n"], ends: Int[Tensor, " k"], reduce: Reduce) -> Known:
    """Count a visit of everything on the way to finished trajectories, and back their values up to the roots.

        value(x) = reduction over the children c of x that have one of value(c);   N(x) <- N(x) + 1

    Args:
        known: what was known before.
        parent: row before each row.
        ends: last rows of trajectories; one that was walked to twice is named twice.
        reduce: how the values of children become that of the node, such as `segments.group_soft_mean`.

    Returns:
        What is known after.

    Source: Diffusion Tree Sampling, arXiv:2506.20701, backup: a plain mean over children, not one by visits.
    """
    value, ok, visits = known.value.clone(), known.ok.clone(), known.visits.clone()
    rows = ends
    while len(rows):
        visits.index_add_(0, rows, torch.ones_like(rows))
        rows = parent[rows]
        rows = rows[rows >= 0]
        nodes = rows.unique()
        child, group = below(parent, nodes)
        fine = ok[child]
        value[nodes] = reduce(value[child], group, len(nodes), fine)
        ok[nodes] = segments.group_count(group, len(nodes), fine) > 0
    return replace(known, value=value, ok=ok, visits=visits)
