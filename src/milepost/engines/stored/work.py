"""Stored forests read, worked on and written again, a fixed number of trees at a time.

The pieces are the same wherever the work is done, so that one process and many machines write the same bytes, and so
that a call of a reward that fails costs a piece, not the forest.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from milepost import checks, storage
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.forest_values import take
from milepost.part import Reward
from milepost.recipe import CURATED, Curation
from milepost.rewards import combine, guard

TREES_AT_ONCE = 1024
DETAILS = 5
"""Whole reasons of failure that a summary holds for each reward, the commonest first."""


class Work(Protocol):
    """Something done with a forest that leaves its rows as they are."""

    @property
    def trees(self) -> int:
        """Trees that are worked on together; 0: all of a forest."""
        ...

    @property
    def families(self) -> Sequence[str]:
        """First words of the columns that it writes."""
        ...

    @property
    def stale(self) -> Sequence[str]:
        """Columns that mean nothing any more when it is done."""
        ...

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the written columns."""
        ...

    def summary(self, forest: Forest) -> Sequence[Mapping[str, Any]]:
        """What there is to say of a forest when all of it is done, as JSON can hold it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Rewards and their sum."""

    rewards: tuple[Reward, ...]
    trees: int = TREES_AT_ONCE
    families = ("reward", "ok", "reason", "cost")
    stale = ("advantage", "value", "return")
    """Credit of the old total explains nothing any more."""

    def __post_init__(self) -> None:
        """Check the settings."""
        checks.not_empty("rewards", self.rewards)
        checks.at_least("trees", self.trees, 1)

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the columns of every reward, each of weight 1 in the total."""
        for reward in self.rewards:
            forest = guard.score(reward, forest)
        names = [reward.name for reward in self.rewards]
        return combine.total(forest, names, [1.0] * len(names))

    def summary(self, forest: Forest) -> list[dict[str, Any]]:
        """For each reward and the total: `name`, `scored`, `failed`, `mean` (or None), `reasons`, `details`."""
        return [_counted(forest, name) for name in (*(reward.name for reward in self.rewards), combine.TOTAL)]


def _counted(forest: Forest, name: str) -> dict[str, Any]:
    ok = forest.valid(f"ok.{name}") & forest[f"ok.{name}"].bool()
    values = forest[f"reward.{name}"][ok].double()
    whole = [reason for reason in forest.text(f"reason.{name}") if reason]
    reasons = Counter(reason.partition(":")[0] for reason in whole)
    return {
        "name": name,
        "scored": int(ok.sum()),
        "failed": reasons.total(),
        "mean": float(values.mean()) if len(values) else None,
        "reasons": dict(reasons),
        "details": dict(Counter(whole).most_common(DETAILS)),
    }


@dataclass(frozen=True, kw_only=True)
class Curating:
    """The steps of a curation; what they keep may depend on all of a forest, so it is not cut."""

    steps: tuple[Curation, ...]
    trees = 0
    families = CURATED
    stale = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        checks.not_empty("steps", self.steps)

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the columns of every step."""
        for step in self.steps:
            forest = step(forest)
        return forest

    def summary(self, forest: Forest) -> list[dict[str, Any]]:
        """How many rows there are, and how many trajectories are kept where that was decided."""
        leaves = forest.leaves()
        found: dict[str, Any] = {"rows": len(forest), "trajectories": len(leaves)}
        if "keep" in forest:
            found["kept"] = int((forest["keep"] & forest.valid("keep"))[leaves].sum())
        return [found]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A stored forest, and the folder that its copy goes to."""

    source: Path
    out: Path


def cuts(forest_or_parent: Forest | Tensor, trees: int) -> list[tuple[int, int]]:
    """Ranges of trees that are worked on together.

    Args:
        forest_or_parent: a forest, or its column `parent` alone.
        trees: trees in one range; 0: all.

    Returns:
        First tree and one past the last, range by range; one empty range for an empty forest.
    """
    parent = forest_or_parent.parent if isinstance(forest_or_parent, Forest) else forest_or_parent
    count = int((parent < 0).sum())
    size = trees or max(count, 1)
    return [(first, min(first + size, count)) for first in range(0, max(count, 1), size)]


def rows_of(forest: Forest, first: int, last: int) -> Tensor:
    """Rows of a range of trees, rising.

    Args:
        forest: the forest.
        first: number of the first tree, in the order of the roots.
        last: one past the last.

    Returns:
        int64.
    """
    number = torch.cumsum(forest.parent < 0, 0) - 1
    tree = number[forest.root_of()] if len(forest) else number
    return ((tree >= first) & (tree < last)).nonzero().squeeze(1)


def written(work: Work, piece: Forest) -> Forest:
    """Work on some trees of a forest and keep only the columns that were written.

    Args:
        work: what is done.
        piece: whole trees.

    Returns:
        One row per row of the piece, without structure and without what did not change.

    Raises:
        FormatError: the work changed the number of rows.
    """
    found = work(piece.without(*[name for name in work.stale if name in piece]))
    if len(found) != len(piece):
        raise FormatError(f"{type(work).__name__} made {len(found)} rows of {len(piece)}: rows must stay as they are.")
    others = [name for name in found.names[1:] if name.partition(".")[0] not in work.families]
    return dataclasses.replace(found.without(*others), parent=torch.full_like(found.parent, -1))


def joined(work: Work, forest: Forest, pieces: Sequence[Forest]) -> Forest:
    """Put the columns of all pieces into the forest that they were cut from.

    Args:
        work: what was done.
        forest: the forest.
        pieces: of `written`, for each range of `cuts`, in order.

    Returns:
        The forest with the written columns, and without those that are stale.

    Raises:
        FormatError: the pieces are not those of this forest.
    """
    ranges = cuts(forest, work.trees)
    rows = [rows_of(forest, *one) for one in ranges]
    if [len(one) for one in rows] != [len(piece) for piece in pieces]:
        raise FormatError(f"{len(pieces)} pieces do not make a forest of {len(forest)} rows in {len(ranges)} pieces.")
    thin = Forest.concatenate(pieces)
    back = torch.empty(len(forest), dtype=torch.int64)
    back[torch.cat(rows)] = torch.arange(len(forest))
    kept = forest.without(*[name for name in work.stale if name in forest])
    columns = {**kept.columns, **{name: take(value, back) for name, value in thin.columns.items()}}
    validity = {name: valid for name, valid in kept.validity.items() if name not in thin.columns}
    validity |= {name: valid[back] for name, valid in thin.validity.items()}
    return dataclasses.replace(kept, columns=columns, validity=validity)


def worked(work: Work, forest: Forest) -> Forest:
    """Do all of a forest in this process.

    Args:
        work: what is done.
        forest: the forest.

    Returns:
        The forest with the written columns.

    Raises:
        FormatError: the work changed the number of rows.
    """
    ranges = cuts(forest, work.trees)
    whole = len(ranges) == 1
    pieces = [written(work, forest if whole else forest.select(rows_of(forest, *one))) for one in ranges]
    return joined(work, forest, pieces)


def done(work: Work, place: Place) -> Sequence[Mapping[str, Any]]:
    """Read a stored forest, do all of it in this process, and write the copy.

    Args:
        work: what is done.
        place: where the forest is, and where its copy goes.

    Returns:
        What there is to say of it, see `Work.summary`.

    Raises:
        FormatError: the folder holds no forest, or a damaged one.
        OSError: the copy cannot be written.
    """
    forest = worked(work, storage.read(place.source))
    storage.write(forest, place.out)
    return work.summary(forest)
