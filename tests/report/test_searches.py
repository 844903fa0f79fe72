"""The report of a search says who found what, and shows it."""

import pytest

from milepost.engines import searching
from milepost.engines.searching import Outcome
from milepost.errors import FormatError
from milepost.report import searches


def outcome(task, seeker, repeat, cost):
    return Outcome(task=task, seeker=seeker, repeat=repeat, cost=cost, steps=3, progress=(), scene={"least": 1.0})


def test_rows_by_hand():
    found = [
        outcome("a", "x", 0, 2.0), outcome("a", "y", 0, 3.0), outcome("a", "x", 1, 4.0), outcome("a", "y", 1, None),
        outcome("a", "x", 2, 5.0), outcome("a", "y", 2, 5.0),
    ]  # fmt: skip
    (row,) = searches.rows(found)
    assert row.costs == (4.0, None)
    assert (row.better, row.repeats, row.least) == (2, 3, 1.0)
    assert searches.median([]) is None


def test_the_page(tmp_path):
    settings = {"problems": ("wide", "arm-pillar"), "iterations": 600, "repeats": 1}
    found = searching.run("informed-rrt-star", settings, tmp_path / "run")
    text = searches.write(tmp_path / "run", tmp_path / "report.html").read_text()
    assert text == searches.render(tmp_path / "run")
    assert "<script" not in text
    assert text.count('class="chart map"') == 2
    assert 'class="reach"' in text
    assert f"{found[0].cost:.4f}" in text
    with pytest.raises(FormatError):
        searches.render(tmp_path)
