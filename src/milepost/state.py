"""States of parts as tensors and JSON, and back: typed, exact, and without running anything that was stored.

A state is a dataclass (or a mapping, tuple, tensor, number, string or None) of such values, nested as deeply as its
type says. Its type decides how it is read: only what the annotations name is ever built.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from milepost.errors import FormatError, MilepostError, SettingError

T = TypeVar("T")
Record: TypeAlias = "bool | int | float | str | list[Record] | dict[str, Record] | None"
"""What JSON can hold."""

_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclasses.dataclass(frozen=True)
class Dumped:
    """A state taken apart: its tensors by the path at which they stood, and a JSON record of everything else."""

    tensors: Mapping[str, Tensor]
    record: Any


def dump(state: object) -> Dumped:
    """Take a state apart.

    Args:
        state: a dataclass, mapping with string or whole-number keys, tuple, list, enum, tensor, number, string or
            None, nested.

    Returns:
        Tensors (copies on the CPU) and a record that JSON writes and reads without loss.

    Raises:
        SettingError: the state holds something else; the message names where.
    """
    tensors: dict[str, Tensor] = {}
    dumped = Dumped(tensors, _dump(state, "state", tensors))
    try:
        load(type(state), dumped)
    except FormatError as error:
        raise SettingError(f"A state of type {type(state).__name__} does not fit its annotations: {error}") from error
    return dumped


def _dump(value: Any, path: str, tensors: dict[str, Tensor]) -> Record:
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": path}
    if isinstance(value, Enum):
        return {"enum": value.name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        fields = {name: _dump(getattr(value, name), f"{path}.{name}", tensors) for name in names}
        return {"type": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {"map": [[_key(key, path), _dump(item, f"{path}[{key!r}]", tensors)] for key, item in items.items()]}
    if isinstance(value, (tuple, list)):
        entries = cast("Sequence[Any]", value)
        return [_dump(item, f"{path}[{place}]", tensors) for place, item in enumerate(entries)]
    raise SettingError(
        f"{path} is a {type(value).__name__}, which a state must not hold. Expected dataclasses, mappings, tuples, "
        "tensors, numbers, strings and None: convert it."
    )


def _key(key: object, path: str) -> Record:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise SettingError(f"{path} has the key {key!r}: keys of a state's mappings are strings or whole numbers.")
    return key


def load(kind: type[T], dumped: Dumped) -> T:
    """Build the state that was taken apart.

    Args:
        kind: type of the state, `type(part.init(...))`; annotations of dataclasses say what their fields hold.
        dumped: tensors and record; nothing in it is trusted.

    Returns:
        The state; tensors are copies.

    Raises:
        FormatError: the record does not fit the type; the message names where.
        SettingError: the type has an annotation that cannot be read back.
    """
    return cast("T", _load(kind, dumped.record, "state", dumped.tensors))


def _load(kind: Any, record: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    origin = get_origin(kind) or kind
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), record, path, tensors)
    if origin is Any:
        return _untyped(record, path, tensors)
    if origin is Literal:
        return _expect(record in get_args(kind), record, path, f"one of {get_args(kind)}")
    if origin is Tensor or getattr(kind, "array_type", None) is Tensor:
        return _tensor(kind, record, path, tensors)
    if origin in (None, type(None), bool, int, float, str):
        return _plain(origin, record, path)
    if isinstance(origin, type):
        if issubclass(origin, Enum):
            _expect(_tagged(record, "enum") and record["enum"] in origin.__members__, record, path, origin.__name__)
            return origin[record["enum"]]
        if dataclasses.is_dataclass(origin):
            return _dataclass(origin, record, path, tensors)
        if issubclass(origin, Mapping):
            return _mapping(get_args(kind) or (Any, Any), record, path, tensors)
        if issubclass(origin, (tuple, list)) or origin is Sequence:
            return _sequence(list if origin is list else tuple, get_args(kind), record, path, tensors)
    raise SettingError(
        f"{path} is annotated {kind!r}, which cannot be read back. Expected dataclasses, mappings, tuples, tensors, "
        "numbers, strings and None."
    )


def _expect(fits: bool, value: Any, path: str, expected: str) -> Any:
    if not fits:
        raise FormatError(f"{path} is {str(value)[:80]!r}, expected {expected}.")
    return value


def _tagged(record: Any, tag: str) -> bool:
    return isinstance(record, dict) and set(cast("dict[str, Any]", record)) == {tag} and isinstance(record[tag], str)


def _plain(kind: Any, record: Any, path: str) -> Any:
    if kind is None or kind is type(None):
        return _expect(record is None, record, path, "null")
    if kind is float and _tagged(record, "float"):
        return _FLOATS[_expect(record["float"] in _FLOATS, record["float"], path, "nan, inf or -inf")]
    fits = isinstance(record, (int, float) if kind is float else kind) and (
        kind is bool or not isinstance(record, bool)
    )
    return _expect(fits, record, path, kind.__name__)


def _tensor(kind: Any, record: Any, path: str, tensors: Mapping[str, Tensor]) -> Tensor:
    _expect(_tagged(record, "tensor"), record, path, "a tensor")
    found = tensors.get(record["tensor"])
    if found is None:
        raise FormatError(f"{path} needs the tensor {record['tensor']!r}, which is missing.")
    if kind is not Tensor and not isinstance(found, kind):
        raise FormatError(f"{path} is {found.dtype} of shape {tuple(found.shape)}, expected {kind.__name__}.")
    return found.clone()


def _union(kinds: Sequence[Any], record: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    reasons: list[str] = []
    for kind in kinds:
        try:
            return _load(kind, record, path, tensors)
        except FormatError as error:
            reasons.append(str(error))
    raise FormatError(f"{path} fits none of its types: {' '.join(reasons)}")


def _dataclass(kind: type, record: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    named = isinstance(record, dict) and cast("dict[str, Any]", record).get("type") == kind.__name__
    _expect(named and isinstance(record.get("fields"), dict), record, path, f"a {kind.__name__}")
    fields: dict[str, Any] = record["fields"]
    names = {field.name for field in dataclasses.fields(kind) if field.init}
    if set(fields) != names:
        raise FormatError(f"{path} has the fields {sorted(fields)}, expected {sorted(names)}.")
    try:
        hints = get_type_hints(kind)
    except NameError as error:
        raise SettingError(f"The annotations of {kind.__name__} cannot be read: {error}.") from error
    built = {name: _load(hints[name], fields[name], f"{path}.{name}", tensors) for name in fields}
    try:
        return kind(**built)
    except (MilepostError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is not a valid {kind.__name__}: {error}") from error


def _mapping(kinds: Sequence[Any], record: Any, path: str, tensors: Mapping[str, Tensor]) -> dict[Any, Any]:
    pairs = cast("dict[str, Any]", record).get("map") if isinstance(record, dict) else None
    _expect(isinstance(pairs, list), record, path, "a map")
    found: dict[Any, Any] = {}
    for pair in cast("list[Any]", pairs):
        key, value = _expect(isinstance(pair, list) and len(cast("list[Any]", pair)) == 2, pair, path, "key and value")
        named = isinstance(key, (str, int)) and not isinstance(key, bool)
        name = _load(kinds[0], _expect(named, key, path, "a key"), f"a key of {path}", tensors)
        found[name] = _load(kinds[1], value, f"{path}[{name!r}]", tensors)
    return found


def _sequence(plain: type, kinds: Sequence[Any], record: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    _expect(isinstance(record, list), record, path, "a list")
    if not kinds or kinds[-1] is Ellipsis or plain is list:
        kinds = [kinds[0] if kinds else Any] * len(record)
    _expect(len(kinds) == len(record), record, path, f"{len(kinds)} entries")
    return plain(
        _load(kind, item, f"{path}[{n}]", tensors) for n, (kind, item) in enumerate(zip(kinds, record, strict=True))
    )


def _untyped(record: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    """What no annotation describes: tensors, numbers, strings, None, and tuples and mappings of them."""
    if isinstance(record, list):
        return _sequence(tuple, (), cast("Any", record), path, tensors)
    if not isinstance(record, dict):
        return record
    if _tagged(record, "tensor"):
        return _tensor(Tensor, record, path, tensors)
    if _tagged(record, "float"):
        return _plain(float, record, path)
    if "map" in record:
        return _mapping((Any, Any), record, path, tensors)
    raise FormatError(f"{path} holds a {next(iter(cast('dict[str, Any]', record)), 'map')!r}: annotate its type.")
