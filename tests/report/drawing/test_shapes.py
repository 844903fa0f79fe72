import math
from xml.etree import ElementTree as ET

import pytest

from milepost import storage
from milepost.report.drawing import shades, shapes
from milepost.report.stored import groups, steps
from tests.report import worlds


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flat")
    storage.write(worlds.answers(6, 12, fail=0.1), folder)
    return steps.read(folder)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    storage.write(worlds.tree(), folder)
    return steps.read(folder)


def parsed(markup):
    return ET.fromstring(str(markup))


def test_each_answer_is_a_cell_with_its_sign(flat):
    for one in groups.groups(flat, "total"):
        tree = parsed(shapes.group_cells(flat, one, 2.0))
        signs = [e.text or "" for e in tree.iter("text")]
        credit = [
            flat.number("advantage", leaf) if r is not None else None
            for leaf, r in zip(one.leaves, one.rewards, strict=True)
        ]
        assert signs.count("×") == one.failed
        assert signs.count("+") == sum(c is not None and c > 0 for c in credit)
        assert signs.count("−") == sum(c is not None and c < 0 for c in credit)
        assert len(signs) == len(one.leaves)
        for tag, kind in (("rect", "c"), ("text", "sign")):
            classes = sorted(e.get("class") for e in tree.iter(tag))
            assert classes == sorted(f"{kind} {shades.credit_class(c, 2.0)}" for c in credit)


def test_cells_come_best_first(flat):
    one = groups.groups(flat, "total")[0]
    told = [e.text for e in parsed(shapes.group_cells(flat, one, 2.0)).iter("title")]
    credit = [float(t.rsplit(" ", 1)[1].replace("−", "-").replace("–", "nan")) for t in told if "failed" not in t]
    assert credit == sorted(credit, reverse=True)


def test_a_tree_has_a_circle_per_step_and_no_two_on_one_place(deep):
    tree = parsed(shapes.tree(deep, 0, 1.0))
    places = [(c.get("cx"), c.get("cy")) for c in tree.iter("circle")]
    assert len(places) == len(set(places)) == len(deep)
    wide, high = float(tree.get("width")), float(tree.get("height"))
    assert all(0 <= float(x) <= wide and 0 <= float(y) <= high for x, y in places)


def test_a_flat_group_needs_no_tree(flat):
    assert shapes.tree(flat, 0, 1.0) is None


def test_a_tree_that_cannot_be_read_is_not_drawn(tmp_path):
    from milepost.forest import Forest

    storage.write(Forest.of([-1, *range(200)]), tmp_path)
    assert shapes.tree(steps.read(tmp_path), 0, 1.0) is None


def test_strip_covers_its_tokens():
    drawn = parsed(shapes.strip([0, 1, 1, 4, 0]))
    assert [(p.get("class"), p.get("d")) for p in drawn.iter("path")] == [
        ("t1", "M1 0h2v1h-2z"),
        ("t4", "M3 0h1v1h-1z"),
    ]
    assert drawn.get("aria-label") == "5 tokens, 1 of them under 10 % likely"
    assert list(parsed(shapes.strip([])).iter("path")) == []


def test_before_after():
    drawn = parsed(shapes.before_after(0.25, 0.75, (0.1, 0.4, None, None), "sums"))
    places = {c.get("class"): float(c.get("cx")) for c in drawn.iter("circle")}
    assert places == {"was": 104, "now": 296}
    assert len([p for p in drawn.iter("path") if "range" in p.get("class")]) == 1
    assert drawn.get("aria-label") == "sums: 25.0\u202f% before, 75.0\u202f% after"
    assert len(list(parsed(shapes.before_after(math.nan, 0.5, (), "x")).iter("circle"))) == 1


def test_interval_is_grey_where_it_covers_zero():
    def style(low, high):
        drawn = parsed(shapes.interval(0.1, low, high, "success"))
        return [p.get("class") for p in drawn.iter("path") if "range" in p.get("class")]

    assert style(0.05, 0.15) == ["range now"]
    assert style(-0.05, 0.25) == ["range was"]
    assert style(None, None) == []
