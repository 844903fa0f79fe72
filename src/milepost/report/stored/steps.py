"""A stored forest as plain columns, read without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from milepost import storage
from milepost.columns import End, Origin, spec
from milepost.errors import UnknownName
from milepost.report.stored import arrays

PICTURES = ("latent", "estimate", "completion")
"""Dense arrays that a report shows."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """One row per step. Missing values are None; a reward that is not ok is missing."""

    parent: NDArray[np.int64]
    numbers: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, "NDArray[Any]"])
    valid: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, "NDArray[np.bool_]"])
    texts: Mapping[str, Sequence[str | None]] = field(default_factory=dict[str, "Sequence[str | None]"])
    tokens: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, "NDArray[Any]"])
    offsets: NDArray[np.int64] | None = None
    """Where the tokens of each row start; one entry more than there are rows."""

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.parent)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return ("parent", *self.numbers, *self.texts, *self.tokens)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Rows that follow each row, rising."""
        below: list[list[int]] = [[] for _ in range(len(self))]
        for row, parent in enumerate(self.parent.tolist()):
            if parent >= 0:
                below[parent].append(row)
        return tuple(tuple(rows) for rows in below)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """Rows without a parent."""
        return tuple(int(row) for row in np.flatnonzero(self.parent < 0))

    @cached_property
    def root_of(self) -> NDArray[np.int64]:
        """Root above each row."""
        found = np.arange(len(self))
        for row, parent in enumerate(self.parent.tolist()):
            if parent >= 0:
                found[row] = found[parent]  # a parent comes before its child, so it is known
        return found

    @cached_property
    def trees(self) -> Mapping[int, tuple[int, ...]]:
        """Rows of the tree of each root, rising."""
        found: dict[int, list[int]] = {root: [] for root in self.roots}
        for row, root in enumerate(self.root_of.tolist()):
            found[root].append(row)
        return {root: tuple(rows) for root, rows in found.items()}

    def leaves_below(self, root: int) -> tuple[int, ...]:
        """Rows of a tree that end a trajectory; none if the root has no children."""
        return tuple(row for row in self.trees[root] if row != root and not self.children[row])

    def path(self, row: int) -> tuple[int, ...]:
        """Rows from the root down to `row`.

        Raises:
            UnknownName: the forest has no such row.
        """
        self.require(row)
        rows = [row]
        while (above := int(self.parent[rows[-1]])) >= 0:
            rows.append(above)
        return tuple(reversed(rows))

    def require(self, row: int) -> None:
        """Raise `UnknownName` unless the forest has that row."""
        if not 0 <= row < len(self):
            raise UnknownName(f"Unknown row {row}: the forest has rows 0 to {len(self) - 1}.")

    def number(self, name: str, row: int) -> float | None:
        """Value of a number column; None where it is missing, not valid, not ok, not finite or not a single number."""
        values = self.numbers.get(name)
        if values is None or values.ndim != 1 or (name in self.valid and not self.valid[name][row]):
            return None
        if name.startswith("reward.") and not self.ok(name.removeprefix("reward."), row):
            return None
        value = float(values[row])
        return value if np.isfinite(value) else None

    def ok(self, reward: str, row: int) -> bool:
        """Whether the reward of that name counts at that row."""
        values = self.numbers.get(f"ok.{reward}")
        if values is None:
            return f"reward.{reward}" in self.numbers
        known = self.valid.get(f"ok.{reward}")
        return bool(values[row]) and (known is None or bool(known[row]))

    def text(self, name: str, row: int) -> str | None:
        """Value of a text column; None where it is missing."""
        values = self.texts.get(name)
        return None if values is None else values[row]

    def span(self, name: str, row: int) -> NDArray[Any]:
        """Values of a token column at that row; empty where there are none."""
        values = self.tokens.get(name)
        if values is None or self.offsets is None:
            return np.empty(0)
        return values[int(self.offsets[row]) : int(self.offsets[row + 1])]

    def end(self, row: int) -> End:
        """Why the trajectory ends at that row; OPEN if nothing is stored."""
        value = self.number("end", row)
        return End(int(value)) if value is not None and int(value) in list(End) else End.OPEN

    def origin(self, row: int) -> Origin | None:
        """Who made the step."""
        value = self.number("origin", row)
        return Origin(int(value)) if value is not None and int(value) in list(Origin) else None

    @cached_property
    def rewards(self) -> tuple[str, ...]:
        """Names of the rewards, the total last."""
        names = [name.removeprefix("reward.") for name in self.numbers if name.startswith("reward.")]
        return tuple(sorted(names, key=lambda name: (name == "total", name)))

    @cached_property
    def costs(self) -> tuple[str, ...]:
        """Names of the costs."""
        return tuple(sorted(name.removeprefix("cost.") for name in self.numbers if name.startswith("cost.")))

    @cached_property
    def main_reward(self) -> str | None:
        """The reward that credit reads: the total, else the only one."""
        if "total" in self.rewards:
            return "total"
        return self.rewards[0] if self.rewards else None


def read(folder: Path) -> Steps:
    """Read a stored forest without torch.

    Args:
        folder: as `storage.write` writes it.

    Returns:
        Its columns; of dense arrays only those in `PICTURES`, which can be shown.

    Raises:
        FormatError: the folder holds no forest, or a damaged one.
    """
    found = of_table(storage.read_table(folder))
    dense = {name: values for name in PICTURES if (values := arrays.read(folder, name)) is not None}
    return replace(found, numbers={**found.numbers, **dense}) if dense else found


def of_table(table: pa.Table) -> Steps:
    """Part a table into columns by kind.

    Args:
        table: one row per step, with `parent`; tokens as lists.

    Returns:
        The columns.
    """
    numbers: dict[str, NDArray[Any]] = {}
    valid: dict[str, NDArray[np.bool_]] = {}
    texts: dict[str, Sequence[str | None]] = {}
    tokens: dict[str, NDArray[Any]] = {}
    offsets: NDArray[np.int64] | None = None
    for name in table.column_names:
        if name.startswith("validity."):
            continue
        column = _whole(table.column(name))
        kind = spec(name).kind
        if kind == "text":
            texts[name] = column.to_pylist()
        elif kind == "token":
            values = column.flatten()
            tokens[name] = _values(values)
            offsets = np.asarray(column.offsets, dtype=np.int64) - int(column.offsets[0].as_py())
        else:
            numbers[name] = _values(column)
            if column.null_count:
                valid[name] = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    parent = numbers.pop("parent").astype(np.int64)
    return Steps(parent=parent, numbers=numbers, valid=valid, texts=texts, tokens=tokens, offsets=offsets)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole: Any = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _values(column: pa.Array) -> NDArray[Any]:
    """Values with something in place of what is missing: NaN for real numbers, 0 otherwise."""
    if column.null_count:
        real = str(column.type) in ("float", "double", "halffloat")
        column = column.fill_null(float("nan") if real else (False if str(column.type) == "bool" else 0))
    return np.asarray(column.to_numpy(zero_copy_only=False))
