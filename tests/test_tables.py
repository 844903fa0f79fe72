"""Forests as tables: what a column becomes, that it comes back to the bit, that parts which disagree are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import ipc

from milepost import tables
from milepost.errors import ColumnError, FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.tables import Parts, put_together, read_ipc, take_apart, write_ipc
from milepost.testing.forests import batch, difference, tree


def small() -> Forest:
    """Three rows with a column of every kind: number, number with a gap, text, tokens, dense with a gap, bfloat16."""
    ids = Ragged.of([[5, 6], [], [7]], torch.int32)
    columns = {
        "task": ["t", None, None],
        "reward.a": [None, 0.5, 1.0],
        "origin": [4, 0, 0],
        "tokens.id": ids,
        "tokens.train": Ragged(torch.tensor([False, True, True]), ids.offsets),
        "tokens.log_prob": Ragged(torch.tensor([0.0, -0.5, -1.5]), ids.offsets),
        "latent": torch.arange(6, dtype=torch.float64).reshape(3, 2),
        "extra.half": torch.tensor([1.5, -2.0, 0.0], dtype=torch.bfloat16),
    }
    forest = Forest.of([-1, 0, 0], columns)
    forest = forest.with_valid("tokens.log_prob", torch.tensor([False, True, True]))
    return forest.with_valid("latent", torch.tensor([True, False, True]))


FORESTS: dict[str, Callable[[], Forest]] = {
    "small": small,
    "batch": lambda: batch(("total", "b")),
    "tree": tree,
    "empty": lambda: Forest.of([]),
    "empty tokens": lambda: small().select(torch.empty(0, dtype=torch.int64)),
    "bare": lambda: Forest.of([-1, 0, 1]),
    "part": lambda: small().select(torch.tensor([0, 2])),
    "image": lambda: Forest.of([-1], {"observation": torch.zeros(1, 2, 3, 4, dtype=torch.uint8)}),
}


# ---- taking apart ----


def test_a_small_forest_by_hand() -> None:
    parts = take_apart(small())
    assert parts.table.to_pydict() == {
        "parent": [-1, 0, 0],
        "validity.latent": [True, False, True],
        "origin": [4, 0, 0],
        "reward.a": [None, 0.5, 1.0],
        "task": ["t", None, None],
        "tokens.id": [[5, 6], [], [7]],
        "tokens.log_prob": [[None, -0.5], [], [-1.5]],
        "tokens.train": [[False, True], [], [True]],
    }
    assert {name: value.tolist() for name, value in parts.arrays.items()} == {
        "latent": [[0.0, 1.0], [0.0, 0.0], [4.0, 5.0]],
        "extra.half": [1.5, -2.0, 0.0],
    }
    assert parts.columns == {
        "parent": {"kind": "number", "dtype": "int64"},
        "extra.half": {"kind": "array", "dtype": "bfloat16", "shape": []},
        "latent": {"kind": "array", "dtype": "float64", "shape": [2]},
        "origin": {"kind": "number", "dtype": "int8"},
        "reward.a": {"kind": "number", "dtype": "float32"},
        "task": {"kind": "text", "dtype": "string"},
        "tokens.id": {"kind": "token", "dtype": "int32"},
        "tokens.log_prob": {"kind": "token", "dtype": "float32"},
        "tokens.train": {"kind": "token", "dtype": "bool"},
    }


def test_columns_are_sorted_with_parent_first() -> None:
    for make in FORESTS.values():
        names = list(take_apart(make()).columns)
        assert names == ["parent", *sorted(names[1:])]


def test_the_order_in_which_columns_were_added_does_not_matter() -> None:
    one = Forest.of([-1, 0], {"value": [0.0, 1.0], "text": ["a", None], "keep": [True, False]})
    two = Forest.of([-1, 0], {"keep": [True, False], "text": ["a", None], "value": [0.0, 1.0]})
    mine, theirs = take_apart(one), take_apart(two)
    assert mine.table.equals(theirs.table)
    assert list(mine.columns.items()) == list(theirs.columns.items())


def test_values_that_are_not_valid_are_not_kept() -> None:
    valid = torch.tensor([True, False])
    found: list[Parts] = []
    for odd in (torch.nan, 3.0):
        forest = Forest.of([-1, 0]).with_columns({"extra.a": torch.tensor([1.0, 0.0])}).with_valid("extra.a", valid)
        dense = torch.tensor([[1.0, 2.0], [odd, odd]])
        plain = torch.tensor([1.0, odd])
        columns = {"extra.a": plain, "extra.d": dense}
        found.append(take_apart(replace(forest, columns=columns, validity={"extra.a": valid, "extra.d": valid})))
    assert found[0].table.equals(found[1].table)
    assert found[0].table["extra.a"].to_pylist() == [1.0, None]
    assert torch.equal(found[0].arrays["extra.d"], found[1].arrays["extra.d"])
    assert found[0].arrays["extra.d"].tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_validity_that_is_all_true_is_not_written() -> None:
    forest = Forest.of([-1, 0], {"latent": torch.ones(2, 2)}).with_valid("latent", torch.ones(2, dtype=torch.bool))
    assert take_apart(forest).table.column_names == ["parent"]


def test_gradients_and_strides_are_left_behind() -> None:
    latent = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    stored = take_apart(Forest.of([-1, 0, 1], {"latent": latent})).arrays["latent"]
    assert stored.is_contiguous()
    assert not stored.requires_grad
    assert torch.equal(stored, latent)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint16])
def test_a_type_that_cannot_be_stored_is_refused(dtype: torch.dtype) -> None:
    forest = Forest.of([-1], {"extra.a": torch.ones(1, dtype=dtype)})
    with pytest.raises(ColumnError) as caught:
        take_apart(forest)
    assert str(caught.value) == (
        f"Column 'extra.a' has type {dtype} and shape (1,), which cannot be stored. Expected one of bool, int8, int16, "
        "int32, int64, uint8, float16, bfloat16, float32, float64, and one number per token: convert it first."
    )


def test_too_many_tokens_are_refused() -> None:
    class Long:
        """Stands for an array that would not fit here."""

        def __len__(self) -> int:
            return 2**31

    with pytest.raises(ColumnError) as caught:
        tables._lists(Long(), torch.tensor([0]))
    assert str(caught.value) == ("The forest has 2147483648 tokens, at most 2^31 - 1 can be stored: split it by root.")


# ---- and back ----


@pytest.mark.parametrize("name", FORESTS)
def test_what_was_taken_apart_comes_back(name: str) -> None:
    forest = FORESTS[name]()
    assert difference(forest, put_together(take_apart(forest))) is None


@pytest.mark.parametrize("name", FORESTS)
def test_a_file_holds_the_forest(name: str, tmp_path: Path) -> None:
    forest, path = FORESTS[name](), tmp_path / "forest.arrow"
    write_ipc(forest, path)
    assert difference(forest, read_ipc(path)) is None
    assert [file.name for file in tmp_path.iterdir()] == ["forest.arrow"], "no draft stays behind"


@pytest.mark.parametrize("dtype", list(tables._DTYPES.values()), ids=str)
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 0), (3, 1, 2)])
def test_every_type_and_shape_comes_back(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = (torch.arange(math.prod(shape)) % 2).reshape(shape).to(dtype)
    whole = Forest.of([-1, 0, 1], {"extra.a": values})
    for forest in (whole, whole.with_valid("extra.a", torch.tensor([True, False, True]))):
        write_ipc(forest, tmp_path / "forest.arrow")
        assert difference(forest, put_together(take_apart(forest))) is None
        assert difference(forest, read_ipc(tmp_path / "forest.arrow")) is None


def test_numbers_come_back_to_the_bit() -> None:
    odd = torch.tensor([math.nan, -0.0, math.inf, -math.inf, 5e-324, 0.1], dtype=torch.float64)
    forest = Forest.of([-1] * 6, {"cost.a": torch.zeros(6, dtype=torch.float64)})
    parts = take_apart(forest)
    table = parts.table.set_column(parts.table.column_names.index("cost.a"), "extra.a", pa.array(odd.numpy()))
    columns = {"parent": parts.columns["parent"], "extra.a": {"kind": "number", "dtype": "float64"}}
    back = put_together(Parts(table=table, arrays={}, columns=columns))["extra.a"]
    assert torch.equal(back.view(torch.int64), odd.view(torch.int64))
    large = Forest.of([-1, 0], {"key": [2**63 - 1, None]})
    assert put_together(take_apart(large))["key"].tolist() == [2**63 - 1, 0]


def test_a_slice_of_a_table_and_long_strings_are_read() -> None:
    parts = take_apart(
        Forest.of([-1, -1, -1], {"text": ["a", None, "c"], "tokens.id": Ragged.of([[1], [2, 3], [4]], torch.int32)})
    )
    sliced = put_together(replace(parts, table=parts.table.slice(1)))
    assert sliced.text("text") == [None, "c"]
    assert sliced["tokens.id"].tolist() == [2, 3, 4]
    assert sliced.token_offsets.tolist() == [0, 2, 3]
    large = parts.table.set_column(1, "text", parts.table["text"].cast(pa.large_string()))
    assert put_together(replace(parts, table=large)).text("text") == ["a", None, "c"]


# ---- parts that do not agree ----


def changed(name: str, values: pa.Array) -> Parts:
    parts = take_apart(small())
    table = parts.table.set_column(parts.table.column_names.index(name), name, values)
    return replace(parts, table=table)


def declared(name: str, **column: Any) -> Parts:
    parts = take_apart(small())
    return replace(parts, columns={**parts.columns, name: {**parts.columns.get(name, {}), **column}})


def stored(name: str, value: torch.Tensor | None) -> Parts:
    parts = take_apart(small())
    arrays = {key: array for key, array in parts.arrays.items() if key != name}
    return replace(parts, arrays=arrays if value is None else {**arrays, name: value})


INT32, FLOAT32 = pa.list_(pa.int32()), pa.list_(pa.float32())
DAMAGED: dict[str, tuple[Callable[[], Parts], str]] = {
    "a parent is missing": (
        lambda: changed("parent", pa.array([-1, None, 0])),
        "Column 'parent' has missing values: every step has a parent, -1 for a root.",
    ),
    "a parent comes after its child": (
        lambda: changed("parent", pa.array([-1, 2, 0])),
        "The stored columns do not make a forest: ",
    ),
    "another kind": (
        lambda: declared("origin", kind="text"),
        "Column 'origin' is stored as 'text', expected 'number'.",
    ),
    "text as array": (
        lambda: declared("task", kind="array"),
        "Column 'task' is stored as 'array', expected 'text'.",
    ),
    "another type": (
        lambda: declared("origin", dtype="int64"),
        "Column 'origin' is stored as 'int64', expected 'int8'.",
    ),
    "values of another type than declared": (
        lambda: changed("origin", pa.array([4, 0, 0], pa.int64())),
        "A column declared as 'int8' holds torch.int64.",
    ),
    "a column that is declared and absent": (
        lambda: declared("value", kind="number", dtype="float32"),
        "The stored columns do not make a forest: ",
    ),
    "a column nobody knows": (
        lambda: declared("vaule", kind="number", dtype="float32"),
        "The stored columns do not make a forest: Unknown column 'vaule'. Did you mean 'value'?",
    ),
    "no kind": (
        lambda: replace(take_apart(small()), columns={"parent": {}}),
        "The stored columns do not make a forest: 'kind'",
    ),
    "an array is absent": (
        lambda: stored("latent", None),
        "Array 'latent': found nothing, expected float64 of shape (3, 2).",
    ),
    "an array of another shape": (
        lambda: stored("latent", torch.zeros(2, 3, dtype=torch.float64)),
        "Array 'latent': found torch.float64 of shape (2, 3), expected float64 of shape (3, 2).",
    ),
    "an array of another type": (
        lambda: stored("latent", torch.zeros(3, 2)),
        "Array 'latent': found torch.float32 of shape (3, 2), expected float64 of shape (3, 2).",
    ),
    "validity has gaps": (
        lambda: changed("validity.latent", pa.array([True, None, True])),
        "Column 'validity.latent' has missing values.",
    ),
    "a list is missing": (
        lambda: changed("tokens.id", pa.array([[5, 6], None, [7]], INT32)),
        "Column 'tokens.id' has steps without a list: a step without tokens has an empty one.",
    ),
    "token columns of different lengths": (
        lambda: changed("tokens.log_prob", pa.array([[0.0], [-0.5], [-1.5]], FLOAT32)),
        "Column 'tokens.log_prob' has other lengths than 'tokens.id': token columns share one layout.",
    ),
    "a reward that is not finite": (
        lambda: changed("reward.a", pa.array([math.nan, 0.5, 1.0], pa.float32())),
        "The stored columns do not make a forest: ",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_parts_that_disagree_are_refused(damage: str) -> None:
    make, told = DAMAGED[damage]
    with pytest.raises(FormatError) as caught:
        put_together(make())
    assert str(caught.value).startswith(told)


# ---- files ----


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "forest.arrow"
    write_ipc(small(), path)
    with pytest.raises(ColumnError):
        write_ipc(Forest.of([-1], {"extra.a": torch.ones(1, dtype=torch.complex64)}), path)
    assert difference(small(), read_ipc(path)) is None
    write_ipc(tree(), path)
    assert difference(tree(), read_ipc(path)) is None


def test_equal_forests_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_ipc(small(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"not an arrow file" * 99])
def test_what_is_not_such_a_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "forest.arrow"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_ipc(path)
    assert str(caught.value).startswith(f"{path} cannot be read: ")


def test_a_file_that_is_absent_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "forest.arrow"
    with pytest.raises(FormatError, match="cannot be read"):
        read_ipc(path)
    write_ipc(small(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match="cannot be read"):
        read_ipc(path)


def rewrite(path: Path, metadata: dict[bytes, str] | None) -> None:
    table = ipc.open_file(pa.BufferReader(path.read_bytes())).read_all().replace_schema_metadata(metadata)
    with ipc.new_file(path, table.schema) as file:
        file.write_table(table)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "forest.arrow"
    write_ipc(small(), path)
    rewrite(path, {b"milepost": json.dumps({"schema": 2, "columns": {}})})
    with pytest.raises(FormatError) as caught:
        read_ipc(path)
    assert str(caught.value) == f"{path} has schema 2, expected 1."


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {b"other": "1"},
        {b"milepost": "{"},
        {b"milepost": "{}"},
        {b"milepost": "[]"},
        {b"milepost": '{"schema":1}'},
    ],
)
def test_an_arrow_file_of_another_kind_is_refused(metadata: dict[bytes, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "forest.arrow"
    write_ipc(small(), path)
    rewrite(path, metadata)
    with pytest.raises(FormatError, match="cannot be read"):
        read_ipc(path)
