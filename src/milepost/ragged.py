"""Ragged columns: one flat vector of values and the offsets at which each row starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from milepost.errors import ShapeError


@dataclass(frozen=True)
class Ragged:
    """Row i holds `values[offsets[i]:offsets[i + 1]]`; `offsets` never falls and has one entry more than rows."""

    values: Tensor
    offsets: Int[Tensor, " m"]

    def __post_init__(self) -> None:
        """Check that the offsets start at 0, never fall and end at the number of values."""
        offsets = self.offsets
        if offsets.dtype != torch.int64 or offsets.dim() != 1 or len(offsets) == 0:
            raise ShapeError(
                f"offsets have type {offsets.dtype} and shape {tuple(offsets.shape)}, "
                "expected int64 and at least one entry."
            )
        if int(offsets[0]) != 0 or int(offsets[-1]) != len(self.values) or bool((offsets[1:] < offsets[:-1]).any()):
            raise ShapeError(
                f"offsets must start at 0, never fall and end at {len(self.values)}, "
                f"received {offsets[:4].tolist()} ... {offsets[-1:].tolist()}."
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[Tensor, " n"]:
        """Number of values of each row."""
        return self.offsets.diff()

    @property
    def row(self) -> Int[Tensor, " t"]:
        """Row that owns each value."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.offsets.device), self.lengths)

    def __getitem__(self, row: int) -> Tensor:
        """Return the values of one row."""
        return self.values[int(self.offsets[row]) : int(self.offsets[row + 1])]

    def select(self, rows: Int[Tensor, " k"]) -> Ragged:
        """Return the given rows in the given order."""
        index, offsets = gather_index(self.offsets, rows)
        return Ragged(self.values[index], offsets)

    @staticmethod
    def of(rows: Sequence[Sequence[float]] | Sequence[Tensor], dtype: torch.dtype) -> Ragged:
        """Build from one sequence per row."""
        parts = [torch.as_tensor(row, dtype=dtype) for row in rows]
        lengths = torch.tensor([len(part) for part in parts], dtype=torch.int64)
        return Ragged(torch.cat(parts) if parts else torch.empty(0, dtype=dtype), offsets_of(lengths))


def offsets_of(lengths: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """Offsets of rows with the given lengths.

        offsets_0 = 0,  offsets_{i+1} = offsets_i + lengths_i

    Args:
        lengths: number of values of each row.

    Returns:
        One entry more than there are rows.
    """
    return torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))


def gather_index(offsets: Int[Tensor, " m"], rows: Int[Tensor, " k"]) -> tuple[Int[Tensor, " t"], Int[Tensor, " j"]]:
    """Positions of the values of the given rows, laid end to end, and the offsets of the result.

    Args:
        offsets: offsets of the source.
        rows: rows to take, in any order, repeats allowed.

    Returns:
        Positions into the source's values, and new offsets.
    """
    lengths = offsets.diff()[rows]
    fresh = offsets_of(lengths)
    shift = torch.repeat_interleave(offsets[:-1][rows] - fresh[:-1], lengths)
    return torch.arange(int(fresh[-1]), device=offsets.device) + shift, fresh
