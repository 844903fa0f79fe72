"""Checks of settings, used in `__post_init__` of parts: each returns None or raises a `SettingError` with the fix."""

from __future__ import annotations

import math
from collections.abc import Collection

from milepost.errors import SettingError


def _refuse(name: str, value: object, expected: str) -> SettingError:
    return SettingError(f"{name}={value!r} is not allowed: expected {expected}.")


def _number(name: str, value: float, expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refuse(name, value, expected)


def positive(name: str, value: float) -> None:
    """Raise `SettingError` unless `value` is a finite number above 0."""
    _number(name, value, "a finite number above 0")
    if value <= 0:
        raise _refuse(name, value, "a finite number above 0")


def non_negative(name: str, value: float) -> None:
    """Raise `SettingError` unless `value` is a finite number of at least 0."""
    _number(name, value, "a finite number of at least 0")
    if value < 0:
        raise _refuse(name, value, "a finite number of at least 0")


def within(name: str, value: float, low: float, high: float) -> None:
    """Raise `SettingError` unless `low <= value <= high`."""
    _number(name, value, f"a number in [{low}, {high}]")
    if not low <= value <= high:
        raise _refuse(name, value, f"a number in [{low}, {high}]")


def at_least(name: str, value: int, low: int) -> None:
    """Raise `SettingError` unless `value` is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refuse(name, value, f"a whole number of at least {low}")


def one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Raise `SettingError` unless `value` is among `allowed`."""
    if value not in allowed:
        raise _refuse(name, value, "one of " + ", ".join(repr(item) for item in allowed))


def not_empty(name: str, value: Collection[object]) -> None:
    """Raise `SettingError` when `value` holds nothing."""
    if len(value) == 0:
        raise _refuse(name, value, "at least one item")


def made(name: str, value: object) -> None:
    """Raise `SettingError` when `value` is a class where an object of that class is meant."""
    if isinstance(value, type):
        raise SettingError(
            f"{name} is the class {value.__name__}, expected an object of it: write {value.__name__}(...)."
        )
