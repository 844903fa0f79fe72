"""Values of forest columns: conversion to the column's type, joining, taking, and the checks of construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import pyarrow as pa
import torch
from torch import Tensor

from milepost.columns import Column, spec
from milepost.errors import ColumnError, ShapeError

Values: TypeAlias = "Tensor | pa.Array"

_TYPES = {
    "int64": torch.int64,
    "int32": torch.int32,
    "int8": torch.int8,
    "float32": torch.float32,
    "float64": torch.float64,
    "bool": torch.bool,
}


def conform(name: str, known: Column, given: object) -> tuple[Values, Tensor | None]:
    """Convert what a column was given as to its stored form.

    Args:
        name: column name, for messages.
        known: what is known of the column.
        given: a tensor, an Arrow array, or a sequence in which None means missing.

    Returns:
        The values, and which of them are valid (None: all).

    Raises:
        ColumnError: the values cannot be read as the column's type.
    """
    if known.kind == "text":
        return _text(name, given), None
    if isinstance(given, Tensor):
        return _typed(name, known, given), None
    if isinstance(given, pa.Array):
        given = given.to_pylist()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ColumnError(
            f"Column {name!r} was given {type(given).__name__}, expected a tensor or a sequence of numbers."
        )
    items = cast("Sequence[object]", given)
    valid = torch.tensor([item is not None for item in items], dtype=torch.bool)
    filled = [0 if item is None else item for item in items]
    try:
        tensor = torch.tensor(filled, dtype=_TYPES.get(known.dtype))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ColumnError(f"Column {name!r} was given values that are not {known.dtype}: {error}.") from error
    return _typed(name, known, tensor), None if bool(valid.all()) else valid


def _text(name: str, given: object) -> pa.Array:
    if isinstance(given, pa.ChunkedArray):
        given = given.combine_chunks()
    if isinstance(given, pa.Array):
        return given if given.type == pa.string() else given.cast(pa.string())
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ColumnError(
            f"Column {name!r} was given {type(given).__name__}, expected a sequence of strings (None where missing)."
        )
    try:
        return pa.array(cast("Sequence[object]", given), pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ColumnError(f"Column {name!r} was given values that are not strings: {error}.") from error


def _typed(name: str, known: Column, tensor: Tensor) -> Tensor:
    wanted = _TYPES.get(known.dtype)
    if wanted is None or tensor.dtype == wanted:
        return tensor.detach()
    if wanted == torch.bool or (not wanted.is_floating_point and tensor.dtype.is_floating_point):
        raise ColumnError(f"Column {name!r} was given {tensor.dtype}, expected {wanted}.")
    return tensor.detach().to(wanted)


def blank(pattern: Values, size: int) -> Values:
    """Return `size` missing values of the type and trailing shape of `pattern`."""
    if isinstance(pattern, Tensor):
        return pattern.new_zeros((size, *pattern.shape[1:]))
    return pa.nulls(size, pattern.type)


def join(parts: Sequence[Values]) -> Values:
    """Return the values of all parts, one after the other; `ShapeError` when their entries have different shapes."""
    if isinstance(parts[0], Tensor):
        tensors = cast("list[Tensor]", list(parts))
        shapes = {tuple(tensor.shape[1:]) for tensor in tensors}
        if len(shapes) > 1:
            raise ShapeError(f"Entries have the shapes {sorted(shapes)}: forests that are joined need the same.")
        return torch.cat(tensors)
    return pa.concat_arrays(cast("Sequence[pa.Array]", parts))


def take(values: Values, rows: Tensor) -> Values:
    """Return the entries at the given positions."""
    if isinstance(values, Tensor):
        return values.index_select(0, rows)
    return values.take(pa.array(rows.numpy()))


def validate(
    parent: Tensor, columns: Mapping[str, Values], validity: Mapping[str, Tensor], token_offsets: Tensor | None
) -> None:
    """Check what every forest promises.

    Args:
        parent: row of the step before, -1 for a root.
        columns: values by column name.
        validity: which entries count, by column name.
        token_offsets: where the tokens of each row start.

    Raises:
        ShapeError: a parent not before its child, offsets that fall, lengths that do not agree.
        ColumnError: an unknown column, one of the wrong type, or a value that is not finite where it is valid.
    """
    validate_structure(parent, token_offsets)
    stray = [name for name in validity if name not in columns]
    if stray:
        raise ShapeError(f"validity of {stray[0]!r} must be one bool for each entry of an existing column.")
    validate_columns(list(columns), columns, validity, len(parent), token_offsets)


def validate_structure(parent: Tensor, token_offsets: Tensor | None) -> None:
    """Check parents and token offsets.

    Args:
        parent: row of the step before, -1 for a root.
        token_offsets: where the tokens of each row start, if there are tokens.

    Raises:
        ShapeError: a parent not before its child, or offsets that fall.
    """
    rows = len(parent)
    if parent.dtype != torch.int64 or parent.dim() != 1:
        raise ShapeError(
            f"parent has type {parent.dtype} and shape {tuple(parent.shape)}, expected a flat int64 vector."
        )
    wrong = (parent >= torch.arange(rows, device=parent.device)) | (parent < -1)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise ShapeError(f"parent[{row}] is {int(parent[row])}, expected -1 or a row before {row}.")
    offsets = token_offsets
    if offsets is None:
        return
    if offsets.dtype != torch.int64 or len(offsets) != rows + 1:
        raise ShapeError(f"token offsets have {len(offsets)} entries of {offsets.dtype}, expected {rows + 1} of int64.")
    if int(offsets[0]) != 0 or bool((offsets[1:] < offsets[:-1]).any()):
        raise ShapeError("token offsets must start at 0 and never fall.")


def validate_columns(
    names: Sequence[str],
    columns: Mapping[str, Values],
    validity: Mapping[str, Tensor],
    rows: int,
    token_offsets: Tensor | None,
) -> None:
    """Check columns that are new: name, type, length, and that every value that counts is finite.

    Args:
        names: the columns to check; a reward is checked again when the column that says where it counts changes.
        columns: values by column name.
        validity: which entries count, by column name.
        rows: number of rows.
        token_offsets: where the tokens of each row start, if there are tokens.

    Raises:
        ShapeError: lengths that do not agree.
        ColumnError: an unknown column, one of the wrong type, or a value that is not finite where it is valid.
    """
    for name in names:
        known, value = spec(name), columns[name]
        if known.kind == "token" and token_offsets is None:
            raise ShapeError(f"Column {name!r} was given without offsets: pass a Ragged.")
        expected = rows if known.kind != "token" or token_offsets is None else int(token_offsets[-1])
        if len(value) != expected:
            what = "tokens" if known.kind == "token" else "rows"
            raise ShapeError(f"Column {name!r} has {len(value)} entries, expected one for each of {expected} {what}.")
        _check_type(name, known, value)
        valid = validity.get(name)
        if valid is not None and (len(valid) != expected or valid.dtype != torch.bool):
            raise ShapeError(f"validity of {name!r} must be one bool for each entry of an existing column.")
    again = {"reward." + name.removeprefix("ok.") for name in names if name.startswith("ok.")} & columns.keys()
    for name in dict.fromkeys([*names, *sorted(again)]):
        value = columns[name]
        if spec(name).checked and isinstance(value, Tensor) and value.is_floating_point():
            _finite(name, value, [one for one in (validity.get(name), _ok_of(name, columns)) if one is not None])


def _check_type(name: str, known: Column, value: Values) -> None:
    if isinstance(value, Tensor) == (known.kind == "text"):
        held = "numbers" if known.kind == "text" else "text"
        raise ColumnError(f"Column {name!r} holds {held}, expected the kind {known.kind!r}.")
    if isinstance(value, Tensor) and value.dtype != _TYPES.get(known.dtype, value.dtype):
        raise ColumnError(f"Column {name!r} has type {value.dtype}, expected {known.dtype}.")


def _ok_of(name: str, columns: Mapping[str, Values]) -> Tensor | None:
    if not name.startswith("reward."):
        return None
    ok = columns.get("ok." + name.removeprefix("reward."))
    return ok if isinstance(ok, Tensor) else None


def _finite(name: str, value: Tensor, counts: Sequence[Tensor]) -> None:
    if bool(value.sum().isfinite()):  # then every entry is: one pass without another tensor
        return
    wrong = ~(value.isfinite() if value.dim() == 1 else value.flatten(1).isfinite().all(1))
    for one in counts:
        wrong = wrong & one
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise ColumnError(
            f"Column {name!r} is not finite at entry {row}, where it is valid: received {value[row].tolist()}. "
            "Mark the entry as missing (None, with_valid, or ok.<name> false for rewards)."
        )
