import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.report.drawing.chart import HEIGHT, WIDTH, Chart, Series, describe, draw, ticks
from tests.report.hostile import STRINGS


def chart(y, **more):
    line = Series(name="outcome", x=list(range(len(y))), y=y, **more)
    return Chart(title="Reward", lines=(line,))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(1, 8))
def test_ticks_cover_the_range(low, size, most):
    found = ticks(low, low + size, most)
    slack = 1e-6 * max(abs(low), size)
    assert found[0] <= low + slack
    assert found[-1] >= low + size - slack
    assert len(found) <= most + 2
    assert found == sorted(found)


def test_ticks_by_hand():
    assert ticks(0, 1, 4) == [0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(0, 12, 5) == [0, 2.5, 5, 7.5, 10, 12.5]
    assert ticks(3, 3) == [3, 4]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan)), min_size=1, max_size=12))
def test_every_point_lies_inside_the_frame(values):
    drawn = chart(values)
    if not drawn.known:
        return
    tree = ET.fromstring(draw(drawn).replace("&nbsp;", " "))
    for circle in tree.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= WIDTH
        assert 0 <= float(circle.get("cy")) <= HEIGHT


def test_gaps_are_not_bridged():
    path = next(e for e in ET.fromstring(draw(chart([1.0, 2.0, None, 4.0, 5.0]))) if e.get("class") == "line s0")
    assert path.get("d").count("M") == 2


def test_a_band_is_one_closed_shape():
    drawn = draw(chart([1.0, 2.0], low=[0.5, 1.5], high=[1.5, 2.5]))
    band = next(e for e in ET.fromstring(drawn) if e.get("class") == "band s0")
    assert band.get("d").endswith("Z")
    assert band.get("d").count("L") == 3


def test_whiskers_name_their_interval():
    drawn = draw(
        Chart(
            title="Success", unit="share", lines=chart([0.2, 0.8], low=[0.1, 0.7], high=[0.3, 0.9], whiskers=True).lines
        )
    )
    told = [e.text for e in ET.fromstring(drawn).iter("title")]
    assert told == [
        "outcome at 0: 20.0\u202f% (10.0\u202f% to 30.0\u202f%)",
        "outcome at 1: 80.0\u202f% (70.0\u202f% to 90.0\u202f%)",
    ]


def test_text_alternative():
    assert describe(chart([0.25, None, 0.75])) == "Reward. outcome: 0.25 at 0, 0.75 at 2."
    assert ET.fromstring(draw(chart([0.25, 0.75]))).get("aria-label").startswith("Reward. outcome: 0.25")


@pytest.mark.parametrize("text", STRINGS)
def test_names_are_escaped(text):
    line = Series(name=text, x=[0, 1], y=[0.0, 1.0])
    tree = ET.fromstring(draw(Chart(title=text, lines=(line,))))
    assert {e.tag for e in tree.iter()} <= {"svg", "path", "text", "circle", "title"}


@pytest.mark.parametrize("y", [[5.0], [0.0, 0.0], [-2.0, -2.0], [1e-9, 2e-9], [1e300, -1e300]])
def test_flat_tiny_and_huge(y):
    ET.fromstring(draw(chart(y)))


@pytest.mark.parametrize("y", [[1.0000001, 1.0000002], [0.0, 1e-7], [1234567.0, 1234569.0], [-3.0, 5.0], [0.985, 1.0]])
def test_no_two_ticks_look_alike(y):
    labels = [e.text for e in ET.fromstring(draw(chart(y))).iter("text") if e.get("class") == "tick end"]
    assert len(labels) == len(set(labels)) >= 2
