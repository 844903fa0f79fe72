"""Ragged rows against plain lists of lists, and every refusal."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.errors import ShapeError
from milepost.ragged import Ragged, expand, gather_index, offsets_of

ROWS = st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=7)


def as_lists(ragged: Ragged) -> list[list[float]]:
    return [ragged[row].tolist() for row in range(len(ragged))]


def test_by_hand() -> None:
    ragged = Ragged.of([[1, 2], [], [3]], torch.int32)
    assert ragged.values.tolist() == [1, 2, 3]
    assert ragged.values.dtype == torch.int32
    assert ragged.offsets.tolist() == [0, 2, 2, 3]
    assert len(ragged) == 3
    assert ragged.lengths.tolist() == [2, 0, 1]
    assert ragged.row.tolist() == [0, 0, 2]
    assert as_lists(ragged.select(torch.tensor([2, 0, 1, 0]))) == [[3], [1, 2], [], [1, 2]]


def test_no_rows() -> None:
    ragged = Ragged.of([], torch.float32)
    assert len(ragged) == 0
    assert ragged.values.dtype == torch.float32
    assert ragged.offsets.tolist() == [0]
    assert ragged.row.tolist() == []


@given(ROWS)
def test_of_keeps_the_rows(rows: list[list[int]]) -> None:
    ragged = Ragged.of(rows, torch.int64)
    assert as_lists(ragged) == rows
    assert ragged.row.tolist() == [number for number, row in enumerate(rows) for _ in row]
    assert as_lists(Ragged.of([torch.tensor(row, dtype=torch.int64) for row in rows], torch.int64)) == rows


@given(ROWS.filter(bool), st.data())
def test_select_takes_rows_in_any_order_with_repeats(rows: list[list[int]], data: st.DataObject) -> None:
    ragged = Ragged.of(rows, torch.int64)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    wanted = torch.tensor(chosen, dtype=torch.int64)
    assert as_lists(ragged.select(wanted)) == [rows[row] for row in chosen]
    index, offsets = gather_index(ragged.offsets, wanted)
    assert ragged.values[index].tolist() == [value for row in chosen for value in rows[row]]
    assert torch.equal(offsets, offsets_of(ragged.lengths[wanted]))


@given(st.lists(st.integers(0, 5), max_size=9))
def test_offsets_of_is_undone_by_differences(lengths: list[int]) -> None:
    offsets = offsets_of(torch.tensor(lengths, dtype=torch.int64))
    assert offsets.tolist() == [sum(lengths[:row]) for row in range(len(lengths) + 1)]
    assert offsets.diff().tolist() == lengths


@pytest.mark.parametrize(
    "offsets",
    [torch.tensor([0, 2], dtype=torch.int32), torch.tensor([[0, 2]]), torch.empty(0, dtype=torch.int64)],
    ids=["type", "shape", "empty"],
)
def test_offsets_of_the_wrong_form_are_refused(offsets: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"offsets have type .* expected int64 and at least one entry"):
        Ragged(torch.zeros(2), offsets)


@pytest.mark.parametrize("offsets", [[1, 2], [0, 1], [0, 3], [0, 2, 1, 2]], ids=["start", "short", "long", "falls"])
def test_offsets_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ShapeError, match="offsets must start at 0, never fall and end at 2, received"):
        Ragged(torch.zeros(2), torch.tensor(offsets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16])
@given(lengths=st.lists(st.integers(0, 4), max_size=9))
def test_expand_repeats_each_value(dtype: torch.dtype, lengths: list[int]) -> None:
    value, counts = torch.arange(len(lengths)).to(dtype), torch.tensor(lengths, dtype=torch.int64)
    expected = [number for number, length in zip(value.tolist(), lengths, strict=True) for _ in range(length)]
    result = expand(value, counts)
    assert result.tolist() == expected
    assert result.dtype == dtype
    out = torch.empty((1, len(expected)), dtype=dtype)
    assert expand(value, counts, out=out) is out
    assert out.flatten().tolist() == expected


def test_expand_over_more_rows_than_one_piece_holds() -> None:
    value, lengths = torch.arange(3000), torch.arange(3000) % 3
    assert torch.equal(expand(value, lengths), torch.repeat_interleave(value, lengths))


def test_expand_reads_values_that_carry_a_gradient() -> None:
    assert expand(torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1, 2])).tolist() == [1.0, 2.0, 2.0]


@pytest.mark.parametrize("lengths", [[1], [1, -1], [1, 1, 1]], ids=["short", "negative", "long"])
def test_expand_refuses_lengths_that_do_not_pair(lengths: list[int]) -> None:
    with pytest.raises(ShapeError, match="expand needs one length of at least 0 for each of 2 values"):
        expand(torch.zeros(2), torch.tensor(lengths))


@pytest.mark.parametrize(
    "out",
    [torch.zeros(2), torch.zeros(3, dtype=torch.float64), torch.zeros(6)[::2]],
    ids=["size", "type", "strided"],
)
def test_expand_refuses_an_out_that_does_not_fit(out: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match=r"out has .* expected 3 of torch.float32, contiguous"):
        expand(torch.zeros(2), torch.tensor([1, 2]), out=out)
