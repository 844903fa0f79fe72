"""States of parts survive being taken apart, written as JSON and put together again; what does not fit is refused."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import IntEnum
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Int
from torch import Tensor

from milepost import keys, state
from milepost.errors import FormatError, SettingError
from milepost.part import Task
from milepost.sampling.choice import Uniform


class Colour(IntEnum):
    RED = 0
    BLUE = 5


@dataclass(frozen=True, eq=False)
class Inner:
    total: Float[Tensor, " n"]
    name: str


@dataclass(frozen=True, eq=False)
class Other:
    count: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Outer:
    place: Int[Tensor, ""]
    inner: tuple[Inner, ...]
    by_name: Mapping[str, Inner | Other | None]
    by_number: dict[int, float]
    pair: tuple[int, str]
    colour: Colour
    rule: Literal["up", "down"]
    words: list[str]
    flag: bool
    ratio: float
    anything: Any
    label: str | None = None
    hidden: int = field(default=3, init=False)


def example() -> Outer:
    return Outer(
        place=torch.tensor(4),
        inner=(Inner(torch.tensor([1.5, math.nan]), "a"), Inner(torch.empty(0, dtype=torch.float64), "ü")),
        by_name={"x": Inner(torch.ones(1, dtype=torch.bfloat16), "b"), "y": Other(2**63), "z": None},
        by_number={-1: math.inf, 3: -0.0},
        pair=(1, "one"),
        colour=Colour.BLUE,
        rule="down",
        words=["p", "q"],
        flag=True,
        ratio=math.nan,
        anything=({"k": (1, None, 2.5)}, torch.arange(3)),
    )


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and bool(torch.equal(one.nan_to_num(7), other.nan_to_num(7)))
        )
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (tuple, list)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


def through_json(dumped: state.Dumped) -> state.Dumped:
    return state.Dumped(dumped.tensors, json.loads(json.dumps(dumped.record, allow_nan=False)))


def test_everything_comes_back():
    one = example()
    assert same(one, state.load(Outer, through_json(state.dump(one))))


def test_hand_example():
    dumped = state.dump(Inner(torch.tensor([2.0]), "a"))
    assert dumped.record == {"type": "Inner", "fields": {"total": {"tensor": "state.total"}, "name": "a"}}
    assert dumped.tensors["state.total"].tolist() == [2.0]


@pytest.mark.parametrize("value", [None, 3, "x", 2.5, True, torch.ones(2), (1, (2.0, "b")), {"a": torch.zeros(1)}])
def test_plain_states_need_no_class(value):
    assert same(value, state.load(type(value), through_json(state.dump(value))))


def test_tensors_are_copies_on_both_sides():
    tensor = torch.ones(2)
    dumped = state.dump((tensor,))
    loaded = state.load(tuple, dumped)
    tensor += 1
    dumped.tensors["state[0]"].add_(5)
    assert loaded[0].tolist() == [1.0, 1.0]


def test_a_real_state_of_a_task_choice():
    choice = Uniform()
    before = choice.draw(choice.init([Task(id=name, record={}, family="f") for name in "abcde"], keys.root(1)), 3).state
    after = state.load(type(before), through_json(state.dump(before)))
    assert choice.draw(before, 4).tasks.tolist() == choice.draw(after, 4).tasks.tolist()


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(nested)
@settings(max_examples=150, deadline=None)
def test_untyped_nests_come_back(value):
    assert same(value, state.load(type(value), through_json(state.dump(value))))


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), {(1, 2): 3}, {True: 1}, 1j, [set()]])
def test_what_cannot_be_kept_is_refused_when_written(value):
    with pytest.raises(SettingError, match="state"):
        state.dump(value)


@dataclass
class Wrong:
    count: int


@dataclass
class Vague:
    what: Any


@dataclass
class Foreign:
    what: set[int] | int


def test_a_state_that_does_not_fit_its_annotations_is_refused_when_written():
    with pytest.raises(SettingError, match=r"state\.count"):
        state.dump(Wrong("three"))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="annotate its type"):
        state.dump(Vague(Other(1)))
    with pytest.raises(SettingError, match="cannot be read back"):
        state.dump(Foreign(3))


def mutations(record):
    """Every record that differs in one place."""
    yield from (None, 17, "odd", [], {}, [[1]], {"map": [1]}, {"float": "x"}, {"tensor": "nowhere"})
    yield {"type": "Outer", "fields": {}}
    if isinstance(record, dict):
        for key in record:
            for other in mutations(record[key]):
                yield {**record, key: other}
            yield {name: item for name, item in record.items() if name != key}
    elif isinstance(record, list):
        for place in range(len(record)):
            for other in mutations(record[place]):
                yield [*record[:place], other, *record[place + 1 :]]


def test_mutated_records_are_refused_or_give_a_valid_state():
    dumped = state.dump(example())
    refused = accepted = 0
    for record in mutations(dumped.record):
        kept = copy.deepcopy(record)
        try:
            loaded = state.load(Outer, state.Dumped(dumped.tensors, record))
        except FormatError:
            refused += 1
        else:
            accepted += 1
            state.dump(loaded)
        assert record == kept
    assert refused > 200
    assert accepted < refused


def test_tensors_of_the_wrong_type_or_rank_are_refused():
    dumped = state.dump(Inner(torch.ones(2), "a"))
    for wrong in (torch.ones(2, dtype=torch.int64), torch.ones(2, 2)):
        with pytest.raises(FormatError, match=r"state\.total"):
            state.load(Inner, state.Dumped({"state.total": wrong}, dumped.record))
    with pytest.raises(FormatError, match="missing"):
        state.load(Inner, state.Dumped({}, dumped.record))
