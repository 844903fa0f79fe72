"""Exact tests: the published table, and an oracle that counts tables."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.curation.selection.yields import Arm, compare, fisher


def test_the_published_table():
    """82, 74 and 54 informative of 100: signals beat random picks; against the length rule nothing is shown."""
    signals, length, random = (Arm(name=n, informative=k, read=100) for n, k in (("s", 82), ("l", 74), ("r", 54)))
    assert compare(signals, random).p == pytest.approx(3.5e-5, rel=0.02)
    assert compare(signals, length).p == pytest.approx(0.232, abs=0.001)
    assert compare(length, random).p == pytest.approx(0.005, abs=0.001)
    assert compare(signals, random).fewer_reads == pytest.approx(1.519, abs=0.001)
    assert "do not differ significantly" in str(compare(signals, length))
    assert "82/100 and r 54/100 differ" in str(compare(signals, random))


@settings(max_examples=200, deadline=None)
@given(*[st.integers(0, 12)] * 4)
def test_against_exact_fractions(a, b, c, d):
    row, other, column = a + b, c + d, a + c
    tables = {
        x: math.comb(row, x) * math.comb(other, column - x) for x in range(max(0, column - other), min(row, column) + 1)
    }
    exact = Fraction(sum(one for one in tables.values() if one <= tables[a]), math.comb(row + other, column))
    assert fisher(a, b, c, d) == pytest.approx(float(exact), rel=1e-9)


def test_nothing_read():
    none = Arm(name="none", informative=0, read=0)
    assert none.share == 0.0
    assert compare(none, none).p == 1.0
    assert compare(Arm(name="a", informative=1, read=2), none).fewer_reads == math.inf
