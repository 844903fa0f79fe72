"""The data model: a forest of steps, one row per step in creation order, a `parent` column and typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from milepost import segments
from milepost.backup import at_or_above
from milepost.columns import End, spec
from milepost.errors import ColumnError, ShapeError
from milepost.forest_values import (
    Values,
    blank,
    conform,
    join,
    take,
    validate,
    validate_columns,
    validate_structure,
)
from milepost.ragged import Ragged, gather_index, offsets_of

Given: TypeAlias = "Tensor | Ragged | pa.Array | Sequence[object]"
"""What a column may be given as; sequences become tensors or Arrow strings by the column's kind."""


@dataclass(frozen=True)
class Forest:
    """A forest of steps. Immutable: every change returns a new forest that shares the untouched columns.

    `parent[i]` is the row of the step before (-1 for a root) and always smaller than i. Numbers are torch tensors with
    one entry per row, texts are Arrow arrays, and all `tokens.*` columns are flat vectors that share `token_offsets`. A
    value that is missing is marked in `validity` (see `valid`), never written as 0 or -1.
    """

    parent: Int[Tensor, " n"]
    columns: Mapping[str, Values] = field(default_factory=dict[str, Values])
    validity: Mapping[str, Bool[Tensor, " _"]] = field(default_factory=dict[str, Tensor])
    token_offsets: Int[Tensor, " m"] | None = None

    def __post_init__(self) -> None:
        """Check structure, lengths, types and finiteness; see `forest_values.validate`."""
        validate(self.parent, self.columns, self.validity, self.token_offsets)

    # ---- making and changing ----

    @staticmethod
    def of(parent: Sequence[int] | Tensor, columns: Mapping[str, Given] | None = None) -> Forest:
        """Build a forest from parents and columns.

        Args:
            parent: row of the step before for each row, -1 for roots.
            columns: column name to values; `None` inside a sequence means missing; token columns as `Ragged`.

        Returns:
            The forest.

        Raises:
            ColumnError: an unknown column, or values that are not finite where they are valid.
            ShapeError: lengths that do not agree, a parent that does not come before its child.
        """
        forest = Forest(torch.as_tensor(parent, dtype=torch.int64))
        return forest.with_columns(columns or {})

    def with_columns(self, columns: Mapping[str, Given]) -> Forest:
        """Return a forest with the given columns added or replaced.

        Args:
            columns: column name to values, one entry per row (for token columns a `Ragged`, or a flat tensor over
                existing tokens).

        Returns:
            A new forest; columns that are not named are shared with this one.
        """
        values, validity, offsets = dict(self.columns), dict(self.validity), self.token_offsets
        for name, given in columns.items():
            if name == "parent":
                raise ColumnError(
                    "'parent' is the structure of the forest and cannot be replaced: build a new forest with Forest.of."
                )
            known = spec(name)
            if known.kind == "token" and isinstance(given, Ragged):
                if offsets is not None and not torch.equal(offsets, given.offsets):
                    raise ShapeError(
                        f"{name} has other offsets than the token columns present: all tokens.* columns share one."
                    )
                given, offsets = given.values, given.offsets
            values[name], valid = conform(name, known, given)
            validity.pop(name, None)
            if valid is not None:
                validity[name] = valid
        if offsets is not self.token_offsets:
            validate_structure(self.parent, offsets)
        return _checked(_unchecked(self.parent, values, validity, offsets), list(columns))

    def with_valid(self, name: str, valid: Bool[Tensor, " _"]) -> Forest:
        """Return a forest in which the entries of a column count only where `valid` is true."""
        value = self._require(name)
        validity = {**self.validity, name: valid}
        if not isinstance(value, Tensor):  # what is missing of a text is a null in it
            valid_texts = _unchecked(self.parent, self.columns, validity, self.token_offsets)
            kept = zip(value.to_pylist(), _checked(valid_texts, [name]).validity[name].tolist(), strict=True)
            return self.with_columns({name: [text if fine else None for text, fine in kept]})
        return _checked(_unchecked(self.parent, self.columns, validity, self.token_offsets), [name])

    def without(self, *names: str) -> Forest:
        """Return a forest without the named columns."""
        for name in names:
            self._require(name)
        kept = {name: value for name, value in self.columns.items() if name not in names}
        offsets = self.token_offsets if any(name.startswith("tokens.") for name in kept) else None
        validity = {n: v for n, v in self.validity.items() if n in kept}
        scored = ["reward." + name.removeprefix("ok.") for name in names if name.startswith("ok.")]
        again = [name for name in scored if name in kept]
        return _checked(_unchecked(self.parent, kept, validity, offsets), again)

    def append(self, parent: Sequence[int] | Tensor, columns: Mapping[str, Given] | None = None) -> Forest:
        """Return a forest with rows added below existing rows.

        Args:
            parent: existing row (or earlier new row) before each new row, -1 for a new root.
            columns: values of the new rows only; what is missing here or there becomes a missing value.

        Returns:
            The longer forest; existing rows keep their numbers.
        """
        below = torch.as_tensor(parent, dtype=torch.int64)
        return self.graft(below, Forest(torch.full_like(below, -1)).with_columns(columns or {}))

    def graft(self, parent: Tensor, rows: Forest) -> Forest:
        """Return a forest with the rows of another one added below existing rows; the structure of `rows` is not used.

        Args:
            parent: existing row (or earlier new row) before each new row, -1 for a new root.
            rows: the new rows and their columns.

        Returns:
            The longer forest; existing rows keep their numbers.
        """
        return _joined([self, rows], torch.cat((self.parent, parent)))

    @staticmethod
    def concatenate(forests: Iterable[Forest]) -> Forest:
        """Return one forest that holds the trees of all, in the given order."""
        parts = list(forests)
        parents, start = [torch.empty(0, dtype=torch.int64)], 0
        for part in parts:
            parents.append(torch.where(part.parent >= 0, part.parent + start, -1))
            start += len(part)
        return _joined(parts, torch.cat(parents))

    def select(self, rows: Int[Tensor, " k"]) -> Forest:
        """Return the given rows as a forest of their own.

        Args:
            rows: rising row numbers; with every row its parent (see `with_ancestors`).

        Returns:
            The smaller forest.

        Raises:
            ShapeError: rows out of range or not rising, or a row whose parent is left out.
        """
        rows = torch.as_tensor(rows, dtype=torch.int64)
        if len(rows) and (int(rows[0]) < 0 or int(rows[-1]) >= len(self) or bool((rows.diff() <= 0).any())):
            raise ShapeError(f"select needs rising row numbers in [0, {len(self)}), received {rows[:8].tolist()} ...")
        place = torch.full((len(self) + 1,), -1, dtype=torch.int64)
        place[rows] = torch.arange(len(rows))
        parent = self.parent[rows]
        moved = torch.where(parent >= 0, place[parent], -1)
        lost = (parent >= 0) & (moved < 0)
        if bool(lost.any()):
            row = int(rows[lost][0])
            raise ShapeError(
                f"select leaves out row {int(self.parent[row])}, the parent of row {row}: "
                "pass forest.with_ancestors(rows)."
            )
        index, offsets = (None, None) if self.token_offsets is None else gather_index(self.token_offsets, rows)
        columns = {
            name: take(value, index if name.startswith("tokens.") and index is not None else rows)
            for name, value in self.columns.items()
        }
        validity = {
            name: value[index if name.startswith("tokens.") and index is not None else rows]
            for name, value in self.validity.items()
        }
        return _unchecked(moved, columns, validity, offsets)

    # ---- reading ----

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.parent)

    def __contains__(self, name: object) -> bool:
        """Return whether the forest has a column of that name."""
        return name == "parent" or name in self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, `parent` first."""
        return ("parent", *self.columns)

    def _require(self, name: str) -> Values:
        if name not in self.columns:
            raise ColumnError(f"The forest has no column {name!r}. It has: {', '.join(self.names)}.")
        return self.columns[name]

    def __getitem__(self, name: str) -> Tensor:
        """Return a number or token column as a tensor (token columns flat, see `token_offsets`)."""
        if name == "parent":
            return self.parent
        value = self._require(name)
        if not isinstance(value, Tensor):
            raise ColumnError(f"Column {name!r} holds text: read it with forest.text({name!r}).")
        return value

    def text(self, name: str) -> list[str | None]:
        """Return a text column as Python strings, None where missing."""
        value = self._require(name)
        if isinstance(value, Tensor):
            raise ColumnError(f"Column {name!r} holds numbers: read it with forest[{name!r}].")
        return value.to_pylist()

    def ragged(self, name: str) -> Ragged:
        """Return a token column with its offsets."""
        if self.token_offsets is None:
            raise ColumnError(f"The forest has no tokens, so no column {name!r}. It has: {', '.join(self.names)}.")
        return Ragged(self[name], self.token_offsets)

    def valid(self, name: str) -> Bool[Tensor, " _"]:
        """Return which entries of a column count (texts: which are not null)."""
        value = self._require(name)
        if isinstance(value, Tensor):
            known = self.validity.get(name)
            return known if known is not None else torch.ones(len(value), dtype=torch.bool)
        return torch.from_numpy(value.is_valid().to_numpy(zero_copy_only=False))

    @property
    def token_row(self) -> Int[Tensor, " t"]:
        """Row that owns each token."""
        if self.token_offsets is None:
            raise ColumnError("The forest has no tokens.")
        return torch.repeat_interleave(torch.arange(len(self)), self.token_offsets.diff())

    # ---- structure ----

    def roots(self) -> Int[Tensor, " r"]:
        """Rows without a parent."""
        return (self.parent < 0).nonzero().squeeze(1)

    def leaves(self) -> Int[Tensor, " l"]:
        """Rows without children; a trajectory is the path from a root to one of them."""
        return (segments.child_count(self.parent) == 0).nonzero().squeeze(1)

    def depth(self) -> Int[Tensor, " n"]:
        """Steps between each row and its root."""
        return segments.depth(self.parent)

    def root_of(self) -> Int[Tensor, " n"]:
        """Root above each row."""
        return segments.root_of(self.parent)

    def siblings(self) -> Int[Tensor, " n"]:
        """Group of each row, in [0, 2 n): children of one parent share a group, each root is a group of its own."""
        return torch.where(self.parent >= 0, self.parent, len(self) + torch.arange(len(self)))

    def path(self, row: int) -> Int[Tensor, " d"]:
        """Rows from the root down to `row`; costs its depth, not the size of the forest."""
        if not 0 <= row < len(self):
            raise IndexError(f"Row {row} of a forest of {len(self)} rows.")
        steps = [row]
        while (above := int(self.parent[steps[-1]])) >= 0:
            steps.append(above)
        return torch.tensor(steps[::-1])

    def paths(self, rows: Int[Tensor, " k"] | None = None) -> Ragged:
        """Rows from the root down to each of the given rows (default: every leaf)."""
        ends = self.leaves() if rows is None else rows
        offsets = offsets_of(self.depth().index_select(0, ends) + 1)
        rows = torch.repeat_interleave(ends, offsets.diff())
        up = torch.repeat_interleave(offsets[1:], offsets.diff()) - 1 - torch.arange(len(rows))
        link = self.parent.clamp(min=0)
        while bool((up > 0).any()):  # the steps up to each entry in binary: one jump for each bit
            rows = torch.where(up % 2 == 1, link.index_select(0, rows), rows)
            up, link = up // 2, link.index_select(0, link)
        return Ragged(rows, offsets)

    def subtree(self, row: int) -> Int[Tensor, " s"]:
        """Rows at or below `row`, rising."""
        own = torch.arange(len(self))
        return (segments.nearest(self.parent, own == row) == row).nonzero().squeeze(1)

    def with_ancestors(self, rows: Int[Tensor, " k"]) -> Int[Tensor, " a"]:
        """The given rows and all rows above them, rising and without repeats: fit for `select`."""
        marked = torch.zeros(len(self), dtype=torch.bool).index_fill(0, torch.as_tensor(rows, dtype=torch.int64), True)
        return at_or_above(marked, self.parent).nonzero().squeeze(1)

    def open_rows(self) -> Int[Tensor, " o"]:
        """Leaves that may still grow: those whose `end` is OPEN."""
        leaves = self.leaves()
        return leaves[self["end"][leaves] == int(End.OPEN)]


def _unchecked(
    parent: Tensor, columns: Mapping[str, Values], validity: Mapping[str, Tensor], token_offsets: Tensor | None
) -> Forest:
    """A forest of what was checked before."""
    forest = object.__new__(Forest)
    given = {"parent": parent, "columns": columns, "validity": validity, "token_offsets": token_offsets}
    for name, value in given.items():
        object.__setattr__(forest, name, value)
    return forest


def _checked(forest: Forest, names: Sequence[str]) -> Forest:
    """The forest, after a check of the columns that are new in it."""
    validate_columns(names, forest.columns, forest.validity, len(forest), forest.token_offsets)
    return forest


def _joined(parts: Sequence[Forest], parent: Tensor) -> Forest:
    names = dict.fromkeys(name for part in parts for name in part.columns)
    offsets = None
    if any(part.token_offsets is not None for part in parts):
        lengths = [
            torch.zeros(len(p), dtype=torch.int64) if p.token_offsets is None else p.token_offsets.diff() for p in parts
        ]
        offsets = offsets_of(torch.cat(lengths))
    columns: dict[str, Values] = {}
    validity: dict[str, Tensor] = {}
    for name in names:
        known = spec(name)
        sizes = [_size(part, known.kind) for part in parts]
        present = [part.columns.get(name) for part in parts]
        pattern = next(value for value in present if value is not None)
        columns[name] = join(
            [value if value is not None else blank(pattern, size) for value, size in zip(present, sizes, strict=True)]
        )
        if isinstance(pattern, Tensor) and any(
            v is None or name in p.validity for v, p in zip(present, parts, strict=True)
        ):
            known_valid = [
                p.valid(name) if v is not None else torch.zeros(s, dtype=torch.bool)
                for v, p, s in zip(present, parts, sizes, strict=True)
            ]
            validity[name] = torch.cat(known_valid)
    validate_structure(parent, offsets)
    return _unchecked(parent, columns, {n: v for n, v in validity.items() if not bool(v.all())}, offsets)


def _size(part: Forest, kind: str) -> int:
    if kind != "token":
        return len(part)
    return 0 if part.token_offsets is None else int(part.token_offsets[-1])
