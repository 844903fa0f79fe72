import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milepost.report import figures

UNKNOWN = (None, math.nan, math.inf)


@pytest.mark.parametrize("write", [figures.plain, figures.signed, figures.fixed, figures.share, figures.points,
                                   figures.count, figures.duration])  # fmt: skip
@pytest.mark.parametrize("value", UNKNOWN)
def test_the_unknown_is_a_dash(write, value):
    assert write(value) == figures.MISSING


def test_hand_examples():
    assert figures.plain(0.125) == "0.125"
    assert figures.plain(1234.5) == "1,234"
    assert figures.plain(-3.14159e-7) == "−3.14e−07"
    assert figures.signed(0.866) == "+0.87"
    assert figures.signed(-1.2) == "−1.20"
    assert figures.signed(0.0) == "0"
    assert figures.fixed(-0.001) == "0.00"
    assert figures.share(0.617) == "61.7\u202f%"
    assert figures.points(-0.02) == "−2.0"
    assert figures.count(1250) == "1,250"
    assert figures.count(1_250_000) == "1.25\u202fM"
    assert figures.duration(0.42) == "0.42\u202fs"
    assert figures.duration(0.0016) == "1.6\u202fms"
    assert figures.duration(192) == "3\u202fmin 12\u202fs"
    assert figures.duration(7500) == "2\u202fh 5\u202fmin"
    assert (figures.counted(1, "tree"), figures.counted(2, "trajectory")) == ("1 tree", "2 trajectories")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_sign_is_never_lost(value):
    text = figures.signed(value)
    assert text[0] == ("+" if value > 0 else figures.MINUS if value < 0 else "0")
    assert "-" not in text


@given(st.floats(-1e5, 1e5))
def test_plain_is_close(value):
    read = float(figures.plain(value).replace(figures.MINUS, "-").replace(",", ""))
    assert read == pytest.approx(value, rel=0.006, abs=1e-300)
