"""A table that is shared until it is touched."""

import pytest

from milepost.environments.sandbox.table import Table


def test_what_is_asked_for_is_a_copy_and_the_shared_entry_never_changes():
    shared = {"a": [1], "b": [2]}
    one, other = Table(shared, copy=list), Table(shared, copy=list)
    one["a"].append(9)
    one["c"] = [3]
    assert (shared, other["a"]) == ({"a": [1], "b": [2]}, [1])
    assert list(one) == ["a", "b", "c"]
    assert (len(one), len(other)) == (3, 2)
    assert dict(one.items()) == {"a": [1, 9], "b": [2], "c": [3]}
    assert next(iter(one.values())) is one["a"]


def test_going_through_and_asking_whether_copy_nothing():
    table = Table({"a": [1], "b": [2]}, copy=list)
    assert "a" in table
    assert "z" not in table
    assert [key for key, _ in table.items()] == ["a", "b"] == list(table.keys())
    assert table.touched == {}


def test_what_is_not_there():
    table = Table({"a": [1]}, copy=list)
    with pytest.raises(KeyError):
        table["z"]
    with pytest.raises(TypeError, match="cannot be removed"):
        del table["a"]
