"""Checks of settings: what each lets pass, what it refuses at the edge, and the sentence it refuses it with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost import checks
from milepost.errors import MilepostError, SettingError

NOT_NUMBERS = [math.nan, math.inf, -math.inf, True, False, "1", None, [1], 1j]


def refused(check: Callable[..., None], value: Any, *limits: Any) -> str:
    with pytest.raises(SettingError) as caught:
        check("rate", value, *limits)
    assert isinstance(caught.value, (MilepostError, ValueError))
    return str(caught.value)


@pytest.mark.parametrize("value", [1, 0.5, 5e-324, 1e308])
def test_positive_passes(value: float) -> None:
    checks.positive("rate", value)


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1, -5e-324, *NOT_NUMBERS])
def test_positive_refuses(value: Any) -> None:
    assert refused(checks.positive, value) == f"rate={value!r} is not allowed: expected a finite number above 0."


@pytest.mark.parametrize("value", [0, 0.0, -0.0, 3, 1e308])
def test_non_negative_passes(value: float) -> None:
    checks.non_negative("rate", value)


@pytest.mark.parametrize("value", [-1, -5e-324, *NOT_NUMBERS])
def test_non_negative_refuses(value: Any) -> None:
    message = refused(checks.non_negative, value)
    assert message == f"rate={value!r} is not allowed: expected a finite number of at least 0."


@pytest.mark.parametrize("value", [0, 0.0, 1, 1.0, 0.25])
def test_within_passes_both_ends(value: float) -> None:
    checks.within("rate", value, 0, 1)


@pytest.mark.parametrize("value", [-1e-9, 1.0000001, 2, *NOT_NUMBERS])
def test_within_refuses(value: Any) -> None:
    message = refused(checks.within, value, 0, 1)
    assert message == f"rate={value!r} is not allowed: expected a number in [0, 1]."


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-10, 10))
def test_within_agrees_with_the_interval(value: float, low: float, high: float) -> None:
    try:
        checks.within("rate", value, low, high)
    except SettingError:
        assert value < low or value > high
    else:
        assert low <= value <= high


@pytest.mark.parametrize("value", [2, 3, 10**30])
def test_at_least_passes(value: int) -> None:
    checks.at_least("rate", value, 2)


@pytest.mark.parametrize("value", [1, 0, -5, 2.0, 2.5, *NOT_NUMBERS])
def test_at_least_refuses(value: Any) -> None:
    message = refused(checks.at_least, value, 2)
    assert message == f"rate={value!r} is not allowed: expected a whole number of at least 2."


def test_true_is_not_one() -> None:
    assert "True" in refused(checks.at_least, True, 0)
    assert "True" in refused(checks.within, True, 0, 1)


def test_one_of() -> None:
    checks.one_of("rate", "b", ("a", "b"))
    checks.one_of("rate", None, (None, 1))
    assert refused(checks.one_of, "c", ("a", 2)) == "rate='c' is not allowed: expected one of 'a', 2."


@pytest.mark.parametrize("value", [[], (), "", {}, set()])
def test_not_empty_refuses(value: Any) -> None:
    assert refused(checks.not_empty, value) == f"rate={value!r} is not allowed: expected at least one item."


@pytest.mark.parametrize("value", [[None], (0,), "x", {1: 2}])
def test_not_empty_passes(value: Any) -> None:
    checks.not_empty("rate", value)


def test_made() -> None:
    checks.made("rate", 1)
    checks.made("rate", None)
    assert refused(checks.made, dict) == "rate is the class dict, expected an object of it: write dict(...)."
