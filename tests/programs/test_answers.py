"""What is believed of a program's answer."""

import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from milepost.errors import FormatError
from milepost.programs.answers import DEPTH, in_words, number_of, read_answer

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(trees)
def test_answers_come_back(value):
    assert read_answer(json.dumps(value).encode(), longest=1 << 20) == value


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 301, b"[", b"", b"\xff", b"{1: 2}", b"[" * 10**5,
     b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), b"x" * 2000],
)  # fmt: skip
def test_answers_that_are_none(text):
    with pytest.raises(FormatError):
        read_answer(text, longest=1000 if text.startswith(b"x") else 1 << 20)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(text):
    try:
        read_answer(text, longest=50)
    except FormatError:
        return
    assert len(text) <= 50


def test_numbers():
    assert number_of(2) == 2.0
    assert number_of({"near": 0.5, "far": {"a": 1, "b": 2}}) == 3.5
    assert number_of({"a": 1e16, "b": 1.0, "c": -1e16}) == 1.0
    for wrong in (True, None, "1.0", [1.0], {}, {"a": "x"}, math.nan, math.inf, 10**400):
        with pytest.raises(FormatError):
            number_of(wrong)


def test_words_are_short_and_printable():
    assert in_words("a\x1b[2J\n b" + "x" * 999).startswith("a\ufffd[2J b")
    assert len(in_words("x" * 999)) == 200
