"""Ids, numbers and rewards of records."""

import math

from milepost.bridges import fields


def test_numbers_are_finite():
    assert [fields.number(v) for v in (1, 0.5, True, "1", None, math.nan, math.inf, 10**400)] == [
        1.0, 0.5, 1.0, None, None, None, None, None,
    ]  # fmt: skip


def test_texts():
    assert fields.text({"a": "", "b": 3, "c": "x"}, "a", "b", "c") == "3"
    assert fields.text({"a": True, "b": [1]}, "a", "b") == ""


def test_rewards():
    record = {"reward": None, "rewards": {"a.b": 1, "odd": "text", "none": None}}
    assert fields.rewards(record) == {"outcome": None, "a_b": 1.0, "none": None}
    assert fields.rewards({"rewards": [1]}) == {}


def test_names_of_fields_are_short():
    assert fields.named({}) == "none"
    assert len(fields.named({"x" * 1000: 1, **{str(i): i for i in range(50)}})) < 200
