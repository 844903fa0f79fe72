"""What an audit says: names, places, and a message that can be acted on."""

from __future__ import annotations

import pytest
import torch

from milepost.credit.findings import CHECKS, SHOWN, Finding, Findings, first
from milepost.errors import ColumnError

FINDING = Finding(check="misplaced", rows=(1, 2), tokens=(4,), count=9, expected="0.5", received="0")


def test_a_finding_is_one_sentence():
    assert str(FINDING) == "misplaced at rows 1, 2 (9 in all) and tokens 4 (9 in all): expected 0.5, received 0"
    assert str(Finding(check="offsets", count=1, expected="a", received="b")) == "offsets: expected a, received b"


def test_findings_by_name():
    found = Findings(found=(FINDING,), checked=("misplaced", "untrained"))
    assert not found.clean
    assert found.named("misplaced") == (FINDING,)
    assert found.named("untrained") == ()
    with pytest.raises(ColumnError, match=r"Credit is not where it belongs:\n- misplaced at rows 1, 2"):
        found.raise_if_any()
    clean = Findings(found=(), checked=tuple(CHECKS))
    assert clean.clean
    clean.raise_if_any()


def test_at_most_so_many_places_are_named():
    assert first(torch.tensor([False, True, True])) == (1, 2)
    assert first(torch.ones(100, dtype=torch.bool)) == tuple(range(SHOWN))
