"""Ragged columns: one flat vector of values and the offsets at which each row starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from milepost.errors import ShapeError

_AT_ONCE = 1024
"""Rows expanded at once: their entries stay in the cache until they are written."""


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


def expand(
    value: Shaped[Tensor, " n"], lengths: Int[Tensor, " n"], *, out: Shaped[Tensor, " *t"] | None = None
) -> Shaped[Tensor, " *t"]:
    """Repeat each row's value once for every entry of the row: from values per step to values per token.

        out_j = value_i  for  offsets_i <= j < offsets_{i+1}

    Args:
        value: one number per row, of any type.
        lengths: number of entries of each row, 0 or more.
        out: contiguous tensor of the type of `value` to write into, of any shape that holds the sum of `lengths`.

    Returns:
        `out`, or a new flat tensor. Written in pieces that stay in the cache, at about the speed of a copy.

    Raises:
        ShapeError: lengths are negative or do not pair with the values, or `out` does not fit.
    """
    if value.shape != lengths.shape or (len(lengths) and int(lengths.min()) < 0):
        raise ShapeError(f"expand needs one length of at least 0 for each of {len(value)} values.")
    size = int(lengths.sum())
    target = value.new_empty(size) if out is None else out
    if target.numel() != size or target.dtype != value.dtype or not target.is_contiguous():
        raise ShapeError(
            f"out has {target.numel()} entries of {target.dtype}, expected {size} of {value.dtype}, contiguous."
        )
    if value.device.type != "cpu" or value.dtype == torch.bfloat16:
        target.view(-1).copy_(torch.repeat_interleave(value, lengths, output_size=size))
        return target
    numbers, counts, written = value.detach().numpy(), lengths.numpy(), target.view(-1).numpy()
    start = 0
    for first in range(0, len(counts), _AT_ONCE):
        piece = np.repeat(numbers[first : first + _AT_ONCE], counts[first : first + _AT_ONCE])
        written[start : start + len(piece)] = piece
        start += len(piece)
    return target
