"""Traces become forests and come back exactly."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost import storage
from milepost.bridges import formats
from milepost.columns import End, Origin
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.traces import forests
from milepost.traces.record import ROLES, Trace
from tests.bridges.examples import FILES, LINES, traces, write_lines

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUE = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda inner: st.lists(inner, max_size=2))
CALLS = st.lists(st.fixed_dictionaries({"id": TEXT, "name": TEXT, "arguments": TEXT | VALUE}), max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(ROLES)},
    optional={
        "content": st.none()
        | TEXT
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), max_size=2),
        "tool_calls": st.none() | CALLS,
        "name": TEXT,
    },
)
REWARD = st.none() | st.sampled_from((0.0, 0.5, 1.0))


@st.composite
def some_trace(draw):
    messages = draw(st.lists(MESSAGE, min_size=1, max_size=5))
    parents = [-1] + [draw(st.integers(-1, i - 1)) for i in range(1, len(messages))]
    return Trace(
        id=draw(TEXT),
        messages=messages,
        parents=parents if draw(st.booleans()) and parents != list(range(-1, len(parents) - 1)) else None,
        task=draw(TEXT),
        draw=draw(st.integers(0, 9)),
        end=draw(st.sampled_from((End.TERMINATED, End.TURN_LIMIT, End.ERROR))),
        rewards=draw(st.dictionaries(st.sampled_from(("outcome", "style")), REWARD)),
        rest=draw(st.dictionaries(TEXT, VALUE, max_size=2)),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(some_trace(), max_size=3))
def test_back_and_forth(before):
    assert list(forests.traces_of(forests.forest_of(before))) == before


@pytest.mark.parametrize("file", ["tau2.json", "inspect.eval", "verifiers.jsonl", "otel.jsonl"])
def test_files_of_the_libraries_come_back(file, tmp_path):
    before = traces(formats.read(FILES / file))
    storage.write(forests.forest_of(before), tmp_path / "f")
    after = list(forests.traces_of(storage.read(tmp_path / "f")))
    for one, two in zip(before, after, strict=True):
        assert {n: v and round(v, 6) for n, v in two.rewards.items()} == {
            n: v and round(v, 6) for n, v in one.rewards.items()
        }
        assert dataclasses.replace(two, rewards={}) == dataclasses.replace(one, rewards={})


def test_columns_say_who_said_what(tmp_path):
    (trace,) = traces(formats.read(write_lines(tmp_path / "a.jsonl", LINES["chat"][:1])))
    forest = forests.forest_of([trace])
    assert forest.parent.tolist() == [-1, 0, 1, 2, 3]
    assert forest.text("task") == ["t", None, None, None, None]
    assert forest.text("text") == ["Be brief.", None, None, None, "3"]
    assert forest.text("result") == [None, None, None, "3", None]
    assert json.loads(forest.text("call")[2])["function"]["name"] == "add"
    policy = int(Origin.POLICY)
    assert [one == policy for one in forest["origin"].tolist()] == [False, False, True, False, True]
    assert forest["end"].tolist() == [0, 0, 0, 0, int(End.TERMINATED)]
    assert forest["reward.outcome"][4] == 1
    assert forest["ok.outcome"].tolist() == [False] * 4 + [True]


def test_an_unscored_trace_has_no_number():
    forest = forests.forest_of([Trace(id="a", messages=[{"role": "user", "content": "x"}], rewards={"outcome": None})])
    assert forest["ok.outcome"].tolist() == [False]
    assert not bool(forest.valid("reward.outcome").any())
    assert forest.text("reason.outcome")[0].startswith("not_run")


def test_grown_rows_become_a_call_and_its_answer():
    columns = {
        "task": ["t", None, None],
        "text": ["Q?", "thinking", "done"],
        "call": [None, '{"name": "f", "arguments": {}}', None],
        "result": [None, "3", None],
        "origin": [int(Origin.ENVIRONMENT), 0, 0],
        "end": [0, 0, int(End.TERMINATED)],
    }
    (trace,) = forests.traces_of(Forest.of([-1, 0, 1], columns))
    assert [m["role"] for m in trace.messages] == ["user", "assistant", "tool", "assistant"]
    assert trace.messages[1]["tool_calls"] == [{"name": "f", "arguments": {}}]
    assert trace.parents is None
    assert trace.end is End.TERMINATED


def test_damaged_json_in_a_column_is_named():
    forest = Forest.of([-1], {"call": ["{"], "origin": torch.tensor([0], dtype=torch.int8)})
    with pytest.raises(FormatError, match="no JSON"):
        list(forests.traces_of(forest))
