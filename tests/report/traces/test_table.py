"""Lists by score and signal, counts, and why a conversation was chosen."""

import pytest

from milepost.errors import UnknownName
from milepost.report.traces import table
from tests.report.hostile import STRINGS
from tests.report.traces.triages import made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("triage"))


def test_counts(folder):
    found = table.overview(folder)
    assert table.is_triage(folder)
    assert not table.is_triage(folder.parent)
    assert found.traces == 42 + len(STRINGS)
    assert found.kinds["tool_not_found"][0] == 1
    assert found.kinds["correction"][0] == 1 + len(STRINGS)
    assert found.kept >= found.kinds["correction"][1] > 0


def test_lists_are_by_score_and_filtered(folder):
    rows = table.listed(folder, kept=False, most=1000)
    scores = [row.value["score"] for row in rows]
    assert len(rows) == 42 + len(STRINGS)
    assert scores == sorted(scores, reverse=True)
    (row,) = table.listed(folder, signal="tool_not_found", kept=False)
    assert row.value["id"] == "failing"
    assert "tool_not_found" in row.kinds
    assert len(table.listed(folder, kept=False, most=3)) == 3
    assert all(row.value["keep"] for row in table.listed(folder, most=1000))
    with pytest.raises(UnknownName, match="Did you mean 'retry'"):
        table.listed(folder, signal="retries")


def test_rows_and_their_signals(folder):
    first, other = table.rows(folder, [41, 3])
    assert (first.number, first.value["id"], other.value["id"]) == (41, "wrong", "fine 3")
    found = table.signals_of(folder, first)
    assert ("correction", 2) in [(one.kind, one.message) for one in found]
    assert table.signals_of(folder, other) == []
    with pytest.raises(UnknownName, match="no conversation 9999"):
        table.rows(folder, [9999])


def test_why(folder):
    wrong, fine = table.rows(folder, [41, 3])
    value = {**wrong.value, "keep": True, "sentinel": False, "inclusion": 0.5, "duplicate_of": None}
    told = table.why(table.Row(number=1, value=value))
    assert told.startswith(f"score {value['score']} (misalignment 1 x 2 + ")
    assert told.endswith("kept with probability 0.5")
    drawn = {**fine.value, "keep": True, "sentinel": True, "duplicate_of": None}
    assert table.why(table.Row(number=1, value=drawn)).startswith("drawn uniformly as a sentinel; score 0, no signal")
    left = {**fine.value, "keep": False, "duplicate_of": 7}
    assert table.why(table.Row(number=1, value=left)).startswith("not kept: near duplicate of #7; score 0")
