"""A forest as an Arrow table plus dense arrays, and back: what the files of `milepost.storage` hold.

One row per step. Numbers are columns with nulls where they are not valid, texts are strings, `tokens.*` columns are
lists with one entry per token of the step. Arrays with more than one dimension stand beside the table, with a column
`validity.<name>` in it where some of them are missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import ipc
from torch import Tensor

from milepost.columns import spec
from milepost.errors import ColumnError, FormatError, MilepostError
from milepost.forest import Forest
from milepost.forest_values import Values

VALIDITY = "validity."
"""Prefix of the columns that say which entries of a dense array count; no column of a forest starts with it."""

_DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_IPC_KEY, _IPC_SCHEMA = b"milepost", 1
_DENSE_ONLY = ("bfloat16",)
"""Types that Arrow does not have: stored as dense arrays whatever their shape."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A forest taken apart: a table, the dense arrays beside it, and what each column is."""

    table: pa.Table
    arrays: Mapping[str, Tensor]
    columns: Mapping[str, Mapping[str, Any]]
    """Column name to its kind (number, token, text or array) and element type; for arrays the shape of one entry."""


def take_apart(forest: Forest) -> Parts:
    """Lay a forest out as a table and dense arrays; equal forests give equal parts, however their columns are ordered.

    Args:
        forest: the forest. Values that are not valid are not kept; offsets without any token column are dropped.

    Returns:
        The parts, columns sorted by name with `parent` first.

    Raises:
        ColumnError: a column has an element type that cannot be stored, or there are 2^31 tokens or more.
    """
    table: dict[str, pa.Array] = {"parent": _numbers(forest.parent, None)}
    arrays: dict[str, Tensor] = {}
    columns: dict[str, Mapping[str, Any]] = {"parent": {"kind": "number", "dtype": "int64"}}
    for name in sorted(forest.columns):
        value, valid = forest.columns[name], forest.validity.get(name)
        if not isinstance(value, Tensor):
            table[name], columns[name] = value, {"kind": "text", "dtype": "string"}
            continue
        dtype = _name_of(name, value)
        if value.dim() > 1 or dtype in _DENSE_ONLY:
            kept = value.detach().cpu()
            if valid is not None and not bool(valid.all()):
                table[VALIDITY + name] = _numbers(valid, None)
                kept = kept.where(valid.cpu().view(-1, *[1] * (value.dim() - 1)), torch.zeros((), dtype=value.dtype))
            arrays[name] = kept.contiguous()
            columns[name] = {"kind": "array", "dtype": dtype, "shape": list(value.shape[1:])}
        else:
            kind = spec(name).kind
            numbers = _numbers(value, valid)
            table[name] = _lists(numbers, cast("Tensor", forest.token_offsets)) if kind == "token" else numbers
            columns[name] = {"kind": kind, "dtype": dtype}
    return Parts(table=pa.table(table), arrays=arrays, columns=columns)


def _name_of(name: str, value: Tensor) -> str:
    if value.dtype not in _NAMES or (value.dim() > 1 and spec(name).kind == "token"):
        raise ColumnError(
            f"Column {name!r} has type {value.dtype} and shape {tuple(value.shape)}, which cannot be stored. "
            f"Expected one of {', '.join(_DTYPES)}, and one number per token: convert it first."
        )
    return _NAMES[value.dtype]


def _numbers(value: Tensor, valid: Tensor | None) -> pa.Array:
    numbers = value.detach().cpu().contiguous().numpy()
    if valid is None or bool(valid.all()):
        return pa.array(numbers)
    missing = ~valid.cpu().numpy()
    return pa.array(np.where(missing, np.zeros((), numbers.dtype), numbers), mask=missing)


def _lists(values: pa.Array, offsets: Tensor) -> pa.Array:
    if len(values) >= 2**31:
        raise ColumnError(f"The forest has {len(values)} tokens, at most 2^31 - 1 can be stored: split it by root.")
    return pa.ListArray.from_arrays(pa.array(offsets.cpu().to(torch.int32).numpy()), values)


def put_together(parts: Parts) -> Forest:
    """Build the forest that was taken apart.

    Args:
        parts: a validated table, arrays and what each column is; no value in them is trusted.

    Returns:
        The forest.

    Raises:
        FormatError: the parts do not agree with each other or do not make a valid forest.
    """
    table, kinds = parts.table, parts.columns
    try:
        offsets = _offsets(table, [name for name, column in kinds.items() if column["kind"] == "token"])
        columns: dict[str, Values] = {}
        validity: dict[str, Tensor] = {}
        for name, column in kinds.items():
            if name == "parent":
                continue
            _agree(name, column)
            values, valid = _read(name, column, parts)
            columns[name] = values
            if valid is not None:
                validity[name] = valid
        parent, missing = _tensor(_flat(table, "parent"), "int64")
        if missing is not None:
            raise FormatError("Column 'parent' has missing values: every step has a parent, -1 for a root.")
        return Forest(parent, columns, validity, offsets)
    except FormatError:
        raise
    except (MilepostError, pa.ArrowException, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(f"The stored columns do not make a forest: {error}") from error


def _agree(name: str, column: Mapping[str, Any]) -> None:
    known = spec(name)
    kind, dtype = column["kind"], column["dtype"]
    if kind != known.kind and not (kind == "array" and known.kind == "number"):
        raise FormatError(f"Column {name!r} is stored as {kind!r}, expected {known.kind!r}.")
    if known.dtype not in ("any", dtype):
        raise FormatError(f"Column {name!r} is stored as {dtype!r}, expected {known.dtype!r}.")


def _read(name: str, column: Mapping[str, Any], parts: Parts) -> tuple[Values, Tensor | None]:
    if column["kind"] == "text":
        text = _flat(parts.table, name)
        return (text if text.type == pa.string() else text.cast(pa.string())), None
    if column["kind"] == "array":
        return _dense(name, column, parts)
    stored = _flat(parts.table, name)
    return _tensor(stored.flatten() if column["kind"] == "token" else stored, column["dtype"])


def _dense(name: str, column: Mapping[str, Any], parts: Parts) -> tuple[Tensor, Tensor | None]:
    value = parts.arrays.get(name)
    expected = (parts.table.num_rows, *column["shape"])
    if value is None or tuple(value.shape) != expected or _NAMES.get(value.dtype) != column["dtype"]:
        found = "nothing" if value is None else f"{value.dtype} of shape {tuple(value.shape)}"
        raise FormatError(f"Array {name!r}: found {found}, expected {column['dtype']} of shape {expected}.")
    if VALIDITY + name not in parts.table.column_names:
        return value, None
    valid, missing = _tensor(_flat(parts.table, VALIDITY + name), "bool")
    if missing is not None:
        raise FormatError(f"Column {VALIDITY + name!r} has missing values.")
    return value, valid


def _flat(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _tensor(stored: pa.Array, dtype: str) -> tuple[Tensor, Tensor | None]:
    valid = None
    if stored.null_count:
        valid = _unpacked(stored.is_valid())
        stored = pc.fill_null(stored, pa.scalar(0, pa.int8()).cast(stored.type))
    if pa.types.is_boolean(stored.type):
        tensor = _unpacked(stored)
    elif pa.types.is_integer(stored.type) or pa.types.is_floating(stored.type):
        tensor = torch.from_dlpack(stored)  # without a copy: nobody else holds what was just read
    else:
        raise FormatError(f"A column declared as {dtype!r} holds {stored.type}.")
    if _NAMES.get(tensor.dtype) != dtype:
        raise FormatError(f"A column declared as {dtype!r} holds {tensor.dtype}.")
    return tensor, valid


def _unpacked(stored: pa.Array) -> Tensor:
    return torch.from_numpy(np.array(stored.to_numpy(zero_copy_only=False)))


def _offsets(table: pa.Table, names: list[str]) -> Tensor | None:
    shared: Tensor | None = None
    for name in names:
        lists = _flat(table, name)
        if lists.null_count:
            raise FormatError(f"Column {name!r} has steps without a list: a step without tokens has an empty one.")
        offsets, _ = _tensor(lists.offsets, "int32")
        offsets = (offsets - offsets[:1]).long() if len(lists) else torch.zeros(1, dtype=torch.int64)
        if shared is not None and not torch.equal(shared, offsets):
            raise FormatError(f"Column {name!r} has other lengths than {names[0]!r}: token columns share one layout.")
        shared = offsets
    return shared


def write_ipc(forest: Forest, path: Path) -> None:
    """Write a forest to one Arrow IPC file: larger and several times faster than Parquet, for what can be made again.

    Args:
        forest: the forest.
        path: the file, replaced atomically; it is not forced to the disk and has no digest.

    Raises:
        ColumnError: a column has an element type that cannot be stored.
    """
    parts = take_apart(forest)
    table = parts.table
    for name, value in parts.arrays.items():
        bits = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
        starts = np.arange(len(value) + 1) * math.prod(value.shape[1:])
        table = table.append_column(name, pa.LargeListArray.from_arrays(starts, pa.array(bits.flatten().numpy())))
    table = table.replace_schema_metadata({_IPC_KEY: json.dumps({"schema": _IPC_SCHEMA, "columns": parts.columns})})
    draft = path.with_name(f".{path.name}.draft")
    with ipc.new_file(draft, table.schema, options=ipc.IpcWriteOptions(compression="lz4")) as file:
        file.write_table(table)
    draft.replace(path)


def read_ipc(path: Path) -> Forest:
    """Read a forest that `write_ipc` wrote.

    Args:
        path: the file.

    Returns:
        The forest.

    Raises:
        FormatError: the file is not such a file, or was written by another schema.
    """
    try:
        table = ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()
        table.validate(full=True)
        record: dict[str, Any] = json.loads(table.schema.metadata[_IPC_KEY])
        if record["schema"] != _IPC_SCHEMA:
            raise FormatError(f"{path} has schema {record['schema']!r}, expected {_IPC_SCHEMA}.")
        columns: dict[str, dict[str, Any]] = record["columns"]
        arrays = {name: _loose(table, name, column) for name, column in columns.items() if column["kind"] == "array"}
        return put_together(Parts(table=table, arrays=arrays, columns=columns))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise error if isinstance(error, FormatError) else FormatError(f"{path} cannot be read: {error}.") from error


def _loose(table: pa.Table, name: str, column: Mapping[str, Any]) -> Tensor:
    values, _ = _tensor(_flat(table, name).flatten(), "int16" if column["dtype"] == "bfloat16" else column["dtype"])
    return values.view(_DTYPES[column["dtype"]]).reshape(table.num_rows, *column["shape"])
