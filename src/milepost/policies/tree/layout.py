"""Trees laid out in one sequence: which tokens are needed, where each stands, and which may see which.

Rows stand in preorder, so that everything below a row is one range behind it. A token then sees the tokens s at or
before it whose range holds it:

    t sees s   if and only if   s <= t < end_s,   end_s = end of the range of the row that holds s

A run of only children is one *strand*: a range [start, stop) of tokens of which each sees all before it, followed by
the range [stop, end) of everything below, which sees the whole strand.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from milepost import segments
from milepost.backup import at_or_above
from milepost.columns import Role
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.ragged import gather_index


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """Tokens whose log-probability is wanted."""

    place: Int[Tensor, " k"]
    """Where the answer goes, among the tokens of the rows asked for."""
    token: Int[Tensor, " k"]
    """Token id."""
    after: Int[Tensor, " k"]
    """Place in the sequence of the token before, whose logits are read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strands:
    """Runs of only children, in preorder."""

    start: Int[Tensor, " s"]
    stop: Int[Tensor, " s"]
    end: Int[Tensor, " s"]
    """End of the range of everything below."""
    parent: Int[Tensor, " s"]
    """Strand that this one follows, -1 for none."""

    def __len__(self) -> int:
        """Return the number of strands."""
        return len(self.start)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Trees in one sequence, each token once."""

    id: Int[Tensor, " t"]
    position: Int[Tensor, " t"]
    """Tokens before it on its path."""
    strands: Strands
    targets: Targets
    size: int
    """Tokens of the rows that were asked for, wanted or not."""

    @property
    def repeated(self) -> int:
        """Tokens that are computed when every leaf's path is computed by itself."""
        strands = self.strands
        leaf = segments.child_count(strands.parent) == 0
        return int((self.position[strands.stop[leaf] - 1] + 1).sum())


def lay_out(forest: Forest, rows: Int[Tensor, " k"]) -> Layout:
    """Lay out everything that the log-probabilities of some rows depend on.

    Args:
        forest: with token columns.
        rows: rows whose tokens of the policy are wanted, each once, in any order.

    Returns:
        The layout. Tokens that no wanted one depends on are left out: those behind the last wanted token of a path, and
        that token itself.

    Raises:
        ColumnError: the forest has no tokens, or a root begins with a token of the policy.
    """
    if forest.token_offsets is None:
        raise ColumnError("CausalLM.log_prob needs token columns, but the forest has none.")
    length, parent = forest.token_offsets.diff(), forest.parent
    index, offsets = gather_index(forest.token_offsets, rows)
    place = (forest["tokens.role"][index] == int(Role.POLICY)).nonzero().squeeze(1)
    row = torch.repeat_interleave(rows, offsets.diff())[place]
    column = index[place] - forest.token_offsets[row]
    up = parent[row]
    whole = at_or_above(torch.zeros(len(forest), dtype=torch.bool).index_fill(0, up[up >= 0], True), parent)
    last = torch.zeros(len(forest), dtype=torch.int64).scatter_reduce(0, row, column, "amax")
    kept = torch.where(whole, length, last)
    before = torch.where(up >= 0, segments.nearest(parent, kept > 0)[up], -1)
    before = torch.where(column > 0, row, before)
    if bool((before < 0).any()):
        first = int(row[before < 0][0])
        raise ColumnError(f"Row {first} is a root with tokens of the policy: expected a prompt to stand before them.")
    start, end = preorder(parent, kept)
    after = start[before] + torch.where(column > 0, column, kept[before]) - 1
    strands, order = _strands(parent, kept, start, end)
    owner = torch.repeat_interleave(order, kept[order])
    within = torch.arange(len(owner)) - start[owner]
    above = segments.path_sum(kept, parent) - kept
    return Layout(
        id=forest["tokens.id"][forest.token_offsets[owner] + within].long(),
        position=above[owner] + within,
        strands=strands,
        targets=Targets(place=place, token=forest["tokens.id"][index[place]].long(), after=after),
        size=len(index),
    )


def preorder(parent: Int[Tensor, " n"], length: Int[Tensor, " n"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Where each row begins when trees are laid out in preorder, and where everything below it ends.

        start_i = end of the row above or of the brother before,   end_i = start_i + lengths of i and all below

    Args:
        parent: row of the step before, -1 for a root.
        length: tokens of each row.

    Returns:
        First place of each row, and the place behind the last row below it.
    """
    above, own = parent.tolist(), length.tolist()
    total = list(own)
    for row in range(len(own) - 1, -1, -1):
        if above[row] >= 0:
            total[above[row]] += total[row]
    start, free = [0] * len(own), [0] * (len(own) + 1)  # the last entry of `free` is that of the roots
    for row, before in enumerate(above):
        start[row] = free[before]
        free[before] += total[row]
        free[row] = start[row] + own[row]
    first = torch.tensor(start, dtype=torch.int64)
    return first, first + torch.tensor(total, dtype=torch.int64)


def _strands(parent: Tensor, kept: Tensor, start: Tensor, end: Tensor) -> tuple[Strands, Tensor]:
    """The strands, and the rows that hold tokens, both in preorder."""
    rows = (kept > 0).nonzero().squeeze(1)
    rows = rows[start[rows].argsort()]
    near = torch.where(parent[rows] >= 0, segments.nearest(parent, kept > 0)[parent[rows]], -1)
    rank = torch.full((len(kept) + 1,), -1, dtype=torch.int64).index_copy(0, rows, torch.arange(len(rows)))
    above = rank[near]  # the last entry answers for -1
    head = (above < 0) | (segments.child_count(above)[above] != 1)
    strand = head.long().cumsum(0) - 1
    first = head.nonzero().squeeze(1)
    last = torch.cat((first[1:], first.new_tensor([len(rows)]))) - 1
    parents = torch.where(above[first] >= 0, strand[above[first]], -1)
    stop = start[rows[last]] + kept[rows[last]] if len(first) else first
    return Strands(start=start[rows[first]], stop=stop, end=end[rows[first]], parent=parents), rows
