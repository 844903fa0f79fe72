"""Errors: each can be caught as milepost's and as Python's own; an unknown name is answered with the nearest one."""

from __future__ import annotations

import pytest

from milepost import errors
from milepost.errors import ColumnError, MilepostError, UnknownName, unknown_name

PARENTS = {
    "SettingError": ValueError,
    "ShapeError": ValueError,
    "ColumnError": KeyError,
    "UnknownName": LookupError,
    "FormatError": ValueError,
    "SandboxError": RuntimeError,
    "MissingExtra": ImportError,
    "ResumeError": RuntimeError,
}


@pytest.mark.parametrize(("name", "builtin"), PARENTS.items())
def test_an_error_is_caught_both_ways_and_says_what_it_was_given(name: str, builtin: type[Exception]) -> None:
    kind = getattr(errors, name)
    for parent in (MilepostError, builtin):
        with pytest.raises(parent) as caught:
            raise kind('it\'s "quoted"\nand long')
        assert str(caught.value) == 'it\'s "quoted"\nand long'


def test_no_error_is_missing_here() -> None:
    kinds = {kind.__name__ for kind in MilepostError.__subclasses__() if kind.__module__ == errors.__name__}
    assert kinds == set(PARENTS)


def test_a_column_error_is_a_sentence_without_the_quotes_of_key_error() -> None:
    assert str(KeyError("no column")) == "'no column'"
    assert str(ColumnError("no column")) == "no column"
    assert str(ColumnError()) == ""
    assert str(ColumnError(3)) == "3"
    assert str(ColumnError(UnknownName("inner"))) == "inner"


def test_unknown_name_suggests_the_nearest_and_lists_all_in_order() -> None:
    error = unknown_name("recipe", "grop", ["vas", "grpo", "a-grae"])
    assert isinstance(error, UnknownName)
    assert str(error) == "Unknown recipe 'grop'. Did you mean 'grpo'? Known: a-grae, grpo, vas."


def test_unknown_name_without_anything_near() -> None:
    assert str(unknown_name("key", "xyz", ("b", "a"))) == "Unknown key 'xyz'. Known: a, b."


def test_unknown_name_when_nothing_exists() -> None:
    assert str(unknown_name("task", "", iter(()))) == "Unknown task ''. Known: none."


def test_unknown_name_takes_any_iterable_once() -> None:
    assert str(unknown_name("key", "on", (name for name in ("one", "two")))).endswith("'one'? Known: one, two.")
    assert str(unknown_name("key", "on", {"one": 1})).endswith("'one'? Known: one.")
