"""Records one at a time: lines, and elements of an array that may cross blocks anywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.bridges import lines
from milepost.bridges.lines import Record
from milepost.traces.record import Fault

TEXT = st.text(st.sampled_from('ab"\\[]{},: \n\u00e9'), max_size=6)
VALUE = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(TEXT, VALUE, max_size=3), st.lists(VALUE, max_size=4), VALUE, st.sampled_from((None, 1)),
    st.sampled_from((1, 3, 7, 1 << 20)),
)  # fmt: skip
def test_elements_are_those_of_the_whole_document(tmp_path_factory, before, items, after, indent, block):
    before.pop("wanted", None)
    path = tmp_path_factory.mktemp("elements") / "a.json"
    path.write_text(json.dumps({**before, "wanted": items, "z": after}, indent=indent, ensure_ascii=False), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", block)
        assert list(lines.elements(path, "wanted")) == [Record(line=i, value=v) for i, v in enumerate(items, 1)]


def test_an_array_deeper_down_is_not_the_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": {"wanted": [1]}, "b": ["wanted", [2]], "wanted": [3]}')
    assert [one.value for one in lines.elements(path, "wanted")] == [3]


def test_a_broken_element_is_named_and_the_next_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"wanted": [1, tru, {"a": 2}, , 4]}')
    found = list(lines.elements(path, "wanted"))
    assert [one.value for one in found if isinstance(one, Record)] == [1, {"a": 2}, 4]
    assert [one.line for one in found if isinstance(one, Fault)] == [2, 4]


def test_an_element_over_the_limit_ends_the_document(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"wanted": [1, "x" * 3_000_000]}))
    found = list(lines.elements(path, "wanted", limit=1000))
    assert "longer than 1000 bytes" in found[-1].reason


def test_lines_are_numbered_and_empty_ones_are_skipped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n[2]\nx\n3')
    found = list(lines.records(path))
    assert found[0] == Record(line=1, value={"a": 1})
    assert [one.line for one in found] == [1, 4, 5, 6]
    assert "not JSON" in found[2].reason
