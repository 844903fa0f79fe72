"""The report of a search for images: a table by seeker, draws, trees."""

import pytest

from milepost.engines import searching
from milepost.engines.searching import Outcome
from milepost.report import galleries, searches


def outcome(seeker, repeat, cost, **scene):
    whole = {
        "calls": 10.0,
        "leaves": 2,
        "effective": 1.5,
        "rewards": {"class": -1.0},
        "plain": {"class": -3.0},
        **scene,
    }
    return Outcome(task="a", seeker=seeker, repeat=repeat, cost=cost, steps=3, progress=((5, cost),), scene=whole)


def test_rows_by_hand():
    found = [outcome("x", 0, 0.5), outcome("y", 0, 2.0), outcome("x", 1, 1.5, calls=20.0, rewards={"class": -2.0})]
    first, second = galleries.rows(found)
    assert (first.seeker, first.calls, first.best, first.drawn) == ("x", 15.0, -1.0, (-1.5,))
    assert (second.seeker, second.images, second.effective, second.plain) == ("y", 2.0, 1.5, (-3.0,))
    assert galleries.names_of(found) == ("class",)
    assert galleries.names_of([]) == ()


def test_the_page(tmp_path):
    settings = {"classes": ("class 3",), "images": 12, "exponent": 0.2}
    found = searching.run("dts", settings, tmp_path / "run")
    text = searches.write(tmp_path / "run", tmp_path / "report.html").read_text()
    assert text == searches.render(tmp_path / "run")
    assert "<script" not in text
    assert "a handwritten 3" in text
    assert text.count('class="gallery"') == 5
    assert 'class="tree latents"' in text
    assert text.count('<img class="picture"') == sum(len(one.scene["drawn"]) for one in found if one.repeat == 0)
    calls = galleries.rows(found)[2].calls
    assert calls == pytest.approx(120.0)
