"""Run settings as TOML, both ways. Imports no torch."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import tomli_w

from milepost import checks
from milepost.engines.settings import RunSettings
from milepost.errors import FormatError, SettingError, unknown_name

Record = TypeVar("Record")


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: the file.

    Returns:
        Its content.

    Raises:
        FormatError: the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"{path} cannot be read as TOML: {error}.") from error


def read(path: Path) -> RunSettings:
    """Read run settings.

    Args:
        path: a TOML file as `write` makes it, or with any part of it left to the defaults.

    Returns:
        The settings.

    Raises:
        FormatError: the file is missing or not TOML.
        UnknownName: a key that does not exist, with the nearest one that does.
        SettingError: a value of the wrong type or outside its range.
    """
    return from_mapping(RunSettings, read_mapping(path))


def write(path: Path, settings: RunSettings) -> None:
    """Write all settings, defaults included.

    Args:
        path: the file to write.
        settings: what to write.
    """
    path.write_text(tomli_w.dumps(dataclasses.asdict(settings)), encoding="utf-8")


def from_mapping(kind: type[Record], given: Mapping[str, Any], *, inside: str = "") -> Record:
    """Build a settings dataclass from a mapping, section by section.

    Args:
        kind: the dataclass.
        given: keys and values; sections are mappings.
        inside: dotted name of the section, for messages.

    Returns:
        The dataclass; keys that are not given keep their defaults.

    Raises:
        UnknownName: a key that does not exist, with the nearest one that does.
        SettingError: a value of the wrong type, or a required key that is missing.
    """
    hints = typing.get_type_hints(kind)
    known = {item.name: item for item in dataclasses.fields(cast("Any", kind))}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"key in {inside or 'the run settings'}", name, known)
        values[name] = _conform(f"{inside}.{name}" if inside else name, hints[name], value)
    required = [n for n, item in known.items() if n not in values and _required(item)]
    if required:
        raise SettingError(f"The key {required[0]!r} is missing from {inside or 'the run settings'}.")
    return kind(**values)


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _conform(name: str, hint: Any, value: Any) -> Any:
    """Value as the type that the field asks for; TOML has lists for tuples and whole numbers for numbers."""
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise SettingError(f"{name}={value!r} is not allowed: expected a section [{name}].")
        return from_mapping(cast("type[Any]", hint), cast("Mapping[str, Any]", value), inside=name)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(name, hint, value)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingError(f"{name}={value!r} is not allowed: expected a list.")
        return tuple(_conform(name, typing.get_args(hint)[0], item) for item in cast("list[Any]", value))
    if origin is Literal:
        checks.one_of(name, value, typing.get_args(hint))
        return value
    if origin is not None and isinstance(value, Mapping):
        inner = typing.get_args(hint)[1]
        return {key: _conform(f"{name}.{key}", inner, item) for key, item in cast("Mapping[str, Any]", value).items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        expected = getattr(hint, "__name__", str(hint))
        raise SettingError(f"{name}={value!r} is not allowed: expected {expected}, received {type(value).__name__}.")
    return value


def _union(name: str, hint: Any, value: Any) -> Any:
    for option in typing.get_args(hint):
        try:
            return _conform(name, option, value)
        except SettingError:
            continue
    raise SettingError(f"{name}={value!r} is not allowed: expected {hint}.")
