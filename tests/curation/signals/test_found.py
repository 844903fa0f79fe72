"""Counts per kind and per group; what is not certain counts nowhere."""

import numpy as np

from milepost.curation.signals.found import Found, by_group
from milepost.curation.signals.taxonomy import GROUPS, KINDS, NUMBER


def test_counts():
    found = Found()
    for trace, kind, confidence in ((0, "quit", 0.9), (0, "quit", 0.2), (2, "quit", 0.5), (2, "retry", 0.9)):
        found.add(trace, 0, NUMBER[kind], confidence)
    counts = found.counts(4)
    assert counts.shape == (4, len(KINDS))
    assert counts[:, NUMBER["quit"]].tolist() == [1, 0, 1, 0]
    groups = dict(zip(GROUPS, by_group(counts).T.tolist(), strict=True))
    assert groups["disengagement"] == [1, 0, 1, 0]
    assert groups["loops"] == [0, 0, 1, 0]


def test_nothing_found():
    assert np.array_equal(Found().counts(3), np.zeros((3, len(KINDS))))
    assert Found().counts(0).shape == (0, len(KINDS))
