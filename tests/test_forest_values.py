"""What columns may be given as, how values are joined and taken, and every check of construction."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.columns import spec
from milepost.errors import ColumnError, ShapeError
from milepost.forest import Forest
from milepost.forest_values import Values, blank, conform, join, take, validate

NONE = torch.empty(0, dtype=torch.int64)


def stored(name: str, given: object) -> tuple[Values, torch.Tensor | None]:
    return conform(name, spec(name), given)


# ---- conform ----


@given(st.lists(st.none() | st.floats(-9, 9, width=32), max_size=8))
def test_none_is_missing_in_numbers(items: list[float | None]) -> None:
    for given_as in (items, tuple(items), pa.array(items, pa.float32())):
        values, valid = stored("reward.outcome", given_as)
        assert isinstance(values, torch.Tensor)
        assert values.dtype == torch.float32
        held = [True] * len(items) if valid is None else valid.tolist()
        assert (valid is None) == (None not in items)
        assert [value if fine else None for value, fine in zip(values.tolist(), held, strict=True)] == items


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("draw", torch.int64),
        ("tokens.id", torch.int32),
        ("end", torch.int8),
        ("value", torch.float32),
        ("inclusion", torch.float64),
        ("keep", torch.bool),
    ],
)
def test_sequences_and_tensors_take_the_type_of_the_column(name: str, dtype: torch.dtype) -> None:
    values, valid = stored(name, [1, 0])
    assert isinstance(values, torch.Tensor)
    assert values.dtype == dtype
    assert valid is None
    same, _ = stored(name, values)
    assert isinstance(same, torch.Tensor)
    assert same.data_ptr() == values.data_ptr()


def test_whole_numbers_and_finer_floats_are_converted() -> None:
    for tensor in (torch.tensor([1, 2]), torch.tensor([1.0, 2.0], dtype=torch.float64)):
        values, _ = stored("value", tensor)
        assert isinstance(values, torch.Tensor)
        assert values.dtype == torch.float32
        assert values.tolist() == [1.0, 2.0]


def test_columns_of_any_type_keep_theirs() -> None:
    for dtype in (torch.float64, torch.int16, torch.bool):
        values, _ = stored("extra.mine", torch.zeros((2, 3), dtype=dtype))
        assert isinstance(values, torch.Tensor)
        assert values.dtype == dtype
        assert values.shape == (2, 3)


def test_stored_values_carry_no_gradient() -> None:
    for name, dtype in (("value", torch.float32), ("value", torch.float64), ("extra.mine", torch.float32)):
        values, _ = stored(name, torch.ones(2, dtype=dtype, requires_grad=True))
        assert isinstance(values, torch.Tensor)
        assert not values.requires_grad


def test_a_float_never_becomes_a_whole_number() -> None:
    with pytest.raises(ColumnError, match=r"Column 'draw' was given torch\.float32, expected torch\.int64"):
        stored("draw", torch.tensor([1.0]))


def test_only_bools_become_bools() -> None:
    with pytest.raises(ColumnError, match=r"Column 'keep' was given torch\.int64, expected torch\.bool"):
        stored("keep", torch.tensor([1, 0]))


@pytest.mark.parametrize("given_as", ["12", 3.0, {"a": 1}], ids=["str", "float", "dict"])
def test_what_is_no_sequence_of_numbers_is_refused(given_as: object) -> None:
    kind = type(given_as).__name__
    with pytest.raises(ColumnError, match=f"'value' was given {kind}, expected a tensor or a sequence of numbers"):
        stored("value", given_as)


@pytest.mark.parametrize("items", [["a"], [[1.0], [1.0, 2.0]], [object()]], ids=["text", "uneven", "object"])
def test_values_that_are_no_numbers_are_refused(items: list[object]) -> None:
    with pytest.raises(ColumnError, match="Column 'value' was given values that are not float32: "):
        stored("value", items)


def test_a_number_too_large_for_the_type_is_refused() -> None:
    with pytest.raises(ColumnError, match="Column 'end' was given values that are not int8: "):
        stored("end", [1000])


@pytest.mark.parametrize(
    "given_as",
    [
        ["a", None],
        ("a", None),
        pa.array(["a", None]),
        pa.array(["a", None], pa.large_string()),
        pa.chunked_array([["a"], [None]], pa.string()),
    ],
    ids=["list", "tuple", "arrow", "large", "chunked"],
)
def test_texts(given_as: object) -> None:
    values, valid = stored("text", given_as)
    assert isinstance(values, pa.Array)
    assert values.type == pa.string()
    assert values.to_pylist() == ["a", None]
    assert valid is None


@pytest.mark.parametrize("given_as", ["word", 3, torch.zeros(2)], ids=["str", "int", "tensor"])
def test_what_is_no_sequence_of_strings_is_refused(given_as: object) -> None:
    kind = type(given_as).__name__
    with pytest.raises(ColumnError, match=f"Column 'text' was given {kind}, expected a sequence of strings"):
        stored("text", given_as)


@pytest.mark.parametrize("items", [["a", 1], [["a"]]], ids=["number", "list"])
def test_values_that_are_no_strings_are_refused(items: list[object]) -> None:
    with pytest.raises(ColumnError, match="Column 'text' was given values that are not strings: "):
        stored("text", items)


# ---- blank, join, take ----


def test_blank_has_the_type_and_trailing_shape_of_its_pattern() -> None:
    empty = blank(torch.ones((5, 2, 3), dtype=torch.float64), 4)
    assert isinstance(empty, torch.Tensor)
    assert (empty.dtype, tuple(empty.shape)) == (torch.float64, (4, 2, 3))
    texts = blank(pa.array(["a"]), 3)
    assert isinstance(texts, pa.Array)
    assert texts.type == pa.string()
    assert texts.to_pylist() == [None, None, None]


@given(st.lists(st.lists(st.integers(-9, 9), max_size=4), min_size=1, max_size=4), st.data())
def test_join_then_take_is_a_look_up(parts: list[list[int]], data: st.DataObject) -> None:
    flat = [item for part in parts for item in part]
    rows = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=6)) if flat else []
    index = torch.tensor(rows, dtype=torch.int64)
    numbers = join([torch.tensor(part, dtype=torch.int64) for part in parts])
    assert isinstance(numbers, torch.Tensor)
    assert numbers.tolist() == flat
    assert take(numbers, index).tolist() == [flat[row] for row in rows]
    texts = join([pa.array([str(item) for item in part], pa.string()) for part in parts])
    assert isinstance(texts, pa.Array)
    assert texts.to_pylist() == [str(item) for item in flat]
    assert take(texts, index).to_pylist() == [str(flat[row]) for row in rows]


# ---- validate ----


@pytest.mark.parametrize(
    "parent", [torch.tensor([-1, 0], dtype=torch.int32), torch.tensor([[-1, 0]])], ids=["type", "shape"]
)
def test_parents_of_the_wrong_form_are_refused(parent: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"parent has type .* expected a flat int64 vector"):
        validate(parent, {}, {}, None)


@pytest.mark.parametrize(("parent", "row"), [([-1, 1], 1), ([0], 0), ([-1, 2, 0], 1), ([-1, 0, -2], 2)])
def test_a_parent_comes_before_its_child(parent: list[int], row: int) -> None:
    with pytest.raises(ShapeError, match=rf"parent\[{row}\] is {parent[row]}, expected -1 or a row before {row}\."):
        validate(torch.tensor(parent), {}, {}, None)


def test_no_rows_at_all_are_fine() -> None:
    validate(NONE, {}, {}, None)
    validate(NONE, {"tokens.id": torch.empty(0, dtype=torch.int32)}, {}, torch.zeros(1, dtype=torch.int64))


def test_columns_of_the_wrong_length_are_refused() -> None:
    parent, offsets = torch.tensor([-1, 0]), torch.tensor([0, 1, 3])
    with pytest.raises(ShapeError, match="Column 'value' has 3 entries, expected one for each of 2 rows"):
        validate(parent, {"value": torch.zeros(3)}, {}, None)
    with pytest.raises(ShapeError, match="Column 'text' has 1 entries, expected one for each of 2 rows"):
        validate(parent, {"text": pa.array(["a"])}, {}, None)
    with pytest.raises(ShapeError, match=r"Column 'tokens\.id' has 2 entries, expected one for each of 3 tokens"):
        validate(parent, {"tokens.id": torch.zeros(2, dtype=torch.int32)}, {}, offsets)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ColumnError, match=r"Use the prefix 'extra\.'"):
        validate(torch.tensor([-1]), {"advantge": torch.zeros(1)}, {}, None)


def test_tokens_need_offsets_that_fit() -> None:
    parent, tokens = torch.tensor([-1, 0]), {"tokens.id": torch.zeros(3, dtype=torch.int32)}
    validate(parent, tokens, {}, torch.tensor([0, 1, 3]))
    with pytest.raises(ShapeError, match=r"Column 'tokens\.id' was given without offsets: pass a Ragged"):
        validate(parent, tokens, {}, None)
    with pytest.raises(ShapeError, match=r"token offsets have 2 entries of torch.int64, expected 3 of int64"):
        validate(parent, tokens, {}, torch.tensor([0, 3]))
    with pytest.raises(ShapeError, match=r"token offsets have 3 entries of torch.int32, expected 3 of int64"):
        validate(parent, tokens, {}, torch.tensor([0, 1, 3], dtype=torch.int32))
    for offsets in ([1, 1, 3], [0, 4, 3]):
        with pytest.raises(ShapeError, match="token offsets must start at 0 and never fall"):
            validate(parent, tokens, {}, torch.tensor(offsets))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_checked_columns_are_finite_where_they_are_valid(odd: float) -> None:
    parent, value = torch.tensor([-1, 0]), torch.tensor([1.0, odd])
    with pytest.raises(ColumnError, match="Column 'value' is not finite at entry 1, where it is valid: received"):
        validate(parent, {"value": value}, {}, None)
    with pytest.raises(ColumnError, match="not finite at entry 1"):
        validate(parent, {"value": value}, {"value": torch.tensor([False, True])}, None)
    validate(parent, {"value": value}, {"value": torch.tensor([True, False])}, None)
    validate(parent, {"extra.mine": value}, {}, None)


def test_one_odd_entry_of_an_array_is_found() -> None:
    latent = torch.zeros((2, 2, 2))
    latent[1, 0, 1] = math.nan
    with pytest.raises(ColumnError, match="Column 'latent' is not finite at entry 1"):
        validate(torch.tensor([-1, 0]), {"latent": latent}, {}, None)


def test_a_reward_that_is_not_ok_need_not_be_finite() -> None:
    parent, reward = torch.tensor([-1, 0]), torch.tensor([1.0, math.nan])
    validate(parent, {"reward.a": reward, "ok.a": torch.tensor([True, False])}, {}, None)
    for other in ({"ok.a": torch.tensor([False, True])}, {"ok.b": torch.tensor([True, False])}):
        with pytest.raises(ColumnError, match=r"Column 'reward\.a' is not finite at entry 1"):
            validate(parent, {"reward.a": reward, **other}, {}, None)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("return", torch.tensor([True, True])),
        ("value", torch.tensor([True])),
        ("value", torch.tensor([1, 0])),
    ],
    ids=["no-column", "length", "type"],
)
def test_validity_fits_an_existing_column(name: str, valid: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=f"validity of '{name}' must be one bool for each entry"):
        validate(torch.tensor([-1, 0]), {"value": torch.zeros(2)}, {name: valid}, None)


def test_entries_of_different_shapes_are_not_joined() -> None:
    with pytest.raises(ShapeError, match=r"shapes \[\(2,\), \(3,\)\]"):
        join([torch.zeros(4, 2), torch.zeros(1, 3)])


def test_a_column_of_the_wrong_kind_or_type_is_refused() -> None:
    texts, parent = pa.array(["a"]), torch.tensor([-1])
    for name, value in (("draw", texts), ("task", torch.zeros(1)), ("draw", torch.zeros(1))):
        with pytest.raises(ColumnError, match=name):
            validate(parent, {name: value}, {}, None)


def test_a_reward_is_checked_again_when_its_ok_changes() -> None:
    forest = Forest.of([-1], {"reward.a": [1.0], "ok.a": [False]}).with_columns({"reward.a": [math.nan]})
    for again in (lambda: forest.with_columns({"ok.a": [True]}), lambda: forest.without("ok.a")):
        with pytest.raises(ColumnError, match=r"reward\.a"):
            again()
