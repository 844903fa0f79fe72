"""Forests on disk: a folder with a manifest, one Parquet file and, for dense arrays, one safetensors file.

`steps-<digest>.parquet` has one row per step and is readable by any Parquet reader; `arrays-<digest>.safetensors` holds
the arrays with more than one dimension; `manifest.json` names both with sizes and SHA-256. Data files are named by
their content and the manifest is replaced last and atomically: a reader sees the old forest or the new one, never a
mixture. One process writes a folder at a time; any number read it. Imports torch only where tensors are made.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import milepost
from milepost.errors import ColumnError, FormatError

if TYPE_CHECKING:
    from torch import Tensor

    from milepost.forest import Forest
    from milepost.tables import Parts

FORMAT, SCHEMA, MANIFEST = "milepost-forest", 1, "manifest.json"
_ENDINGS = {"steps": "parquet", "arrays": "safetensors"}
_DATA = r"steps-[0-9a-f]{16}\.parquet|arrays-[0-9a-f]{16}\.safetensors"
_OURS = re.compile(rf"{_DATA}|\.({_DATA}|manifest\.json)\.draft")
_KINDS = ("number", "token", "text", "array")
_MANIFEST_BYTES = 1 << 20
_ROW_GROUP = 1 << 17
_FREE_BYTES, _EXPANSION = 1 << 30, 200
_DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64")
_TYPES = {name: pa.type_for_alias(name) for name in _DTYPES}
_T = TypeVar("_T")


class _Buffer(Protocol):
    """Anything with bytes in it: `bytes` or an Arrow buffer."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    rows: int
    files: Mapping[str, _File]
    columns: Mapping[str, Mapping[str, Any]]


# ---- writing ----


def write(forest: Forest, folder: str | os.PathLike[str]) -> None:
    """Write a forest; after a kill or an error at any moment the folder holds this forest or still the one before.

    Args:
        forest: the forest; equal forests give equal bytes.
        folder: where to; made if it does not exist.

    Raises:
        ColumnError: a column has an element type that cannot be stored.
        OSError: the disk is full or the folder cannot be written; the old content is untouched.
    """
    from milepost.tables import take_apart

    parts = take_apart(forest)
    data: dict[str, _Buffer] = {"steps": _parquet(parts)}
    if parts.arrays:
        from safetensors.torch import save

        data["arrays"] = save(dict(parts.arrays))
    _commit(Path(folder), data, {"rows": len(forest), "columns": parts.columns})


def _parquet(parts: Parts) -> pa.Buffer:
    listed = {name: name + ".list.element" if c["kind"] == "token" else name for name, c in parts.columns.items()}
    real = [path for name, path in listed.items() if parts.columns[name]["dtype"] in ("float32", "float64")]
    sink = pa.BufferOutputStream()
    pq.write_table(
        parts.table,
        sink,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        use_dictionary=sorted(set(listed.values()) - set(real) - {"key"}),
        use_byte_stream_split=real,
        store_schema=False,
    )
    return sink.getvalue()


def _commit(folder: Path, data: Mapping[str, _Buffer], described: Mapping[str, Any]) -> None:
    files: dict[str, dict[str, Any]] = {}
    for role, content in data.items():
        digest = hashlib.sha256(cast("bytes", content)).hexdigest()
        name = f"{role}-{digest[:16]}.{_ENDINGS[role]}"
        files[role] = {"name": name, "bytes": len(content), "sha256": digest}
    writer = f"milepost {milepost.__version__}"
    manifest = {"format": FORMAT, "schema": SCHEMA, "writer": writer, "files": files, **described}
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if len(text) > _MANIFEST_BYTES:
        raise ColumnError(f"The forest has {len(described['columns'])} columns, too many for one file: store fewer.")
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)
    try:
        for role, content in data.items():
            _place(folder / files[role]["name"], content)
        _sync(folder)
        _place(folder / MANIFEST, text.encode())
        _sync(folder)
    finally:
        _sweep(folder)


def _place(path: Path, content: _Buffer) -> None:
    draft = path.with_name(f".{path.name}.draft")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        rest = memoryview(cast("bytes", content))
        while len(rest):
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(draft, path)  # noqa: PTH105 - the kill test counts the calls of os


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sweep(folder: Path) -> None:
    """Remove data files and drafts of ours that the manifest in place does not name; one that stays does no harm."""
    with contextlib.suppress(OSError, FormatError):
        kept = {file.name for file in _manifest(folder).files.values()} if (folder / MANIFEST).exists() else set[str]()
        for path in sorted(folder.iterdir()):
            if _OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink()


# ---- reading ----


def read(folder: str | os.PathLike[str], *, limit_bytes: int | None = None) -> Forest:
    """Read a forest that `write` wrote; every size, digest and value is checked.

    Args:
        folder: where from.
        limit_bytes: most memory that the decoded columns may take; default 1 GiB and 200 bytes for each byte stored.

    Returns:
        The forest.

    Raises:
        FormatError: the folder holds no forest, a damaged one, one of a newer schema, or one over the limit.
    """
    from milepost.tables import Parts, put_together

    def load(manifest: _Manifest) -> Forest:
        table = _table(Path(folder), manifest, limit_bytes, None)
        arrays = _arrays(Path(folder), manifest)
        return put_together(Parts(table=table, arrays=arrays, columns=manifest.columns))

    return _consistently(Path(folder), load)


def read_table(
    folder: str | os.PathLike[str], *, columns: Iterable[str] | None = None, limit_bytes: int | None = None
) -> pa.Table:
    """Read the table of a stored forest, without torch: one row per step, tokens as lists, dense arrays left out.

    Args:
        folder: where from.
        columns: names of the columns to read; default all.
        limit_bytes: as for `read`.

    Returns:
        The table.

    Raises:
        FormatError: as for `read`; also when a column is asked for that is not there.
    """
    wanted = None if columns is None else list(columns)
    return _consistently(Path(folder), lambda manifest: _table(Path(folder), manifest, limit_bytes, wanted))


def _consistently(folder: Path, load: Callable[[_Manifest], _T]) -> _T:
    """Load by the manifest, again when a writer replaced the forest meanwhile and swept the files away."""
    while True:
        manifest = _manifest(folder)
        try:
            return load(manifest)
        except FileNotFoundError as error:
            if _manifest(folder) == manifest:
                raise FormatError(
                    f"{error.filename} is named by {MANIFEST} and is missing: the copy is not whole."
                ) from error


def _content(path: Path, size: int | None, most: int) -> bytes:
    """Content of a plain file; its size is checked before anything is read."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{path} is not a plain file.")
        if found.st_size > most or (size is not None and found.st_size != size):
            raise FormatError(f"{path} has {found.st_size} bytes, expected {'at most ' if size is None else ''}{most}.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)


def _manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        record = json.loads(_content(path, None, _MANIFEST_BYTES), parse_constant=_no_constant)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FormatError(f"{folder} holds no forest: it has no file {MANIFEST}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    try:
        return _checked(_object(record, "the manifest"))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def _no_constant(name: str) -> float:
    raise FormatError(f"{name} is not a JSON number.")


def _object(value: Any, what: str, keys: set[str] | None = None) -> dict[str, Any]:
    found = cast("dict[str, Any]", value)
    if not isinstance(value, dict) or (keys is not None and set(found) != keys):
        expected = f" with {', '.join(sorted(keys))}" if keys else ""
        raise FormatError(f"{what} must be an object{expected}.")
    return found


def _whole(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise FormatError(f"{what} is {value!r}, expected a whole number.")
    return value


def _checked(record: dict[str, Any]) -> _Manifest:
    if record.get("format") != FORMAT:
        raise FormatError(f"format is {record.get('format')!r}, expected {FORMAT!r}.")
    schema = _whole(record.get("schema"), "schema")
    if schema != SCHEMA:
        raise FormatError(
            f"schema is {schema}, written by {record.get('writer')!r}; milepost {milepost.__version__} reads schema "
            f"{SCHEMA}. Install the milepost that wrote it, or a newer one."
        )
    files = {role: _file(role, file) for role, file in _object(record.get("files"), "files").items()}
    columns = {name: _column(name, column) for name, column in _object(record.get("columns"), "columns").items()}
    if "steps" not in files or columns.get("parent") != {"kind": "number", "dtype": "int64"}:
        raise FormatError("expected a file 'steps' and an int64 column 'parent'.")
    return _Manifest(rows=_whole(record.get("rows"), "rows"), files=files, columns=columns)


def _file(role: str, value: Any) -> _File:
    entry = _object(value, f"file {role!r}", {"name", "bytes", "sha256"})
    digest = entry["sha256"]
    if role not in _ENDINGS or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise FormatError(f"file {role!r} has an unknown role or no SHA-256.")
    if entry["name"] != f"{role}-{digest[:16]}.{_ENDINGS[role]}":
        raise FormatError(f"file {role!r} is named {entry['name']!r}, expected its role and the start of its SHA-256.")
    return _File(name=entry["name"], size=_whole(entry["bytes"], "bytes"), sha256=digest)


def _column(name: str, value: Any) -> Mapping[str, Any]:
    array = isinstance(value, dict) and "shape" in value
    entry = _object(value, f"column {name!r}", {"kind", "dtype", "shape"} if array else {"kind", "dtype"})
    if entry["kind"] not in _KINDS or (entry["kind"] == "array") != array or not isinstance(entry["dtype"], str):
        raise FormatError(f"column {name!r} has kind {entry['kind']!r} and dtype {entry['dtype']!r}.")
    shape = entry.get("shape", [])
    if not isinstance(shape, list) or len(cast("list[Any]", shape)) > 16:
        raise FormatError(f"column {name!r} has no valid shape.")
    for length in cast("list[Any]", shape):
        _whole(length, f"shape of column {name!r}")
    return entry


def _verified(folder: Path, file: _File) -> bytes:
    data = _content(folder / file.name, file.size, file.size)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise FormatError(f"{folder / file.name} is damaged: its SHA-256 is not the one in {MANIFEST}.")
    return data


def _arrays(folder: Path, manifest: _Manifest) -> Mapping[str, Tensor]:
    if "arrays" not in manifest.files:
        return {}
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(_verified(folder, manifest.files["arrays"]))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        name = manifest.files["arrays"].name
        raise error if isinstance(error, FormatError) else FormatError(f"{name} cannot be read: {error}.") from error


def _table(folder: Path, manifest: _Manifest, limit: int | None, wanted: list[str] | None) -> pa.Table:
    file = manifest.files["steps"]
    data = pa.BufferReader(_verified(folder, file))
    limit = _FREE_BYTES + _EXPANSION * file.size if limit is None else limit
    try:
        texts = [name for name, column in manifest.columns.items() if column["kind"] == "text"]
        parquet = pq.ParquetFile(
            data, read_dictionary=texts, thrift_string_size_limit=_MANIFEST_BYTES, thrift_container_size_limit=1 << 20
        )
        _fits(parquet, manifest, limit)
        names = parquet.schema_arrow.names if wanted is None else wanted
        if missing := [name for name in names if name not in parquet.schema_arrow.names]:
            raise FormatError(f"it has no column {missing[0]!r}, but {', '.join(parquet.schema_arrow.names)}.")
        return _plain(parquet.read(columns=names), texts, limit)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, MemoryError) as error:
        raise error if isinstance(error, FormatError) else FormatError(f"{file.name}: {error}.") from error


def _fits(parquet: pq.ParquetFile, manifest: _Manifest, limit: int) -> None:
    """Check names, types and sizes by the metadata, before any column is decoded."""
    metadata, schema = parquet.metadata, parquet.schema_arrow
    names, arrays = set(schema.names), {n for n, column in manifest.columns.items() if column["kind"] == "array"}
    extra = names - (set(manifest.columns) - arrays) - {f"validity.{name}" for name in arrays}
    if extra or set(manifest.columns) - arrays - names or len(names) != len(schema.names):
        raise FormatError("its columns are not those of the manifest.")
    if metadata.num_rows != manifest.rows:
        raise FormatError(f"it has {metadata.num_rows} rows, expected {manifest.rows}.")
    for field in schema:
        column = manifest.columns.get(field.name, {"kind": "number", "dtype": "bool"})
        plain = pa.string() if column["kind"] == "text" else _TYPES.get(column["dtype"])
        if plain is None or field.type not in (
            plain,
            pa.list_(pa.field("element", plain)),
            pa.dictionary(pa.int32(), plain),
        ):
            raise FormatError(f"column {field.name!r} has type {field.type}, expected {column['dtype']!r}.")
        if pa.types.is_list(field.type) != (column["kind"] == "token"):
            raise FormatError(f"column {field.name!r} has type {field.type}, which is not of kind {column['kind']!r}.")
    # Asked for the metadata of a damaged column, Arrow ends the process instead of raising: rows have to do.
    pages = sum(max(0, metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))
    _spend(limit, pages + 8 * manifest.rows * len(names))


def _spend(limit: int, size: int) -> int:
    if size > limit:
        raise FormatError(f"it takes {size} bytes in memory, {limit} are allowed: pass a larger limit_bytes.")
    return limit - size


def _plain(table: pa.Table, texts: list[str], limit: int) -> pa.Table:
    """Decode texts, whose size a dictionary hides, after checking that they fit."""
    table.validate(full=True)
    for name in [name for name in texts if name in table.column_names]:
        column = table.column(name)
        for chunk in column.chunks:
            lengths = pc.binary_length(chunk.dictionary)
            limit = _spend(limit, pc.sum(lengths.take(chunk.indices)).as_py() or 0)
        table = table.set_column(table.schema.get_field_index(name), name, column.cast(pa.string()))
    return table
