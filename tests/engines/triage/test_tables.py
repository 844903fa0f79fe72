"""Tables of a batch: where signals stand, and rows of several batches in the order of their lines."""

import pyarrow.parquet as pq

from milepost.curation.signals.flat import flat
from milepost.engines.triage.tables import COLUMNS, INSTANCES, Heads, Tables, tables_of
from milepost.traces.record import Fault, Trace

ANGRY = [{"role": "user", "content": "hello"}, {"role": "user", "content": "That is not what I asked" + "!" * 90}]


def heads(*lines):
    found = Heads()
    for line in lines:
        found.add(Trace(id=str(line), messages=()), line, 2)
    return found


def test_signals_stand_at_their_messages():
    table, signals = tables_of(flat([ANGRY[:1], ANGRY]), heads(3, 8), "f")
    assert table.schema == COLUMNS
    assert signals.schema == INSTANCES
    assert table.column("turns").to_pylist() == [1, 2]
    rows = signals.to_pylist()
    assert [(row["line"], row["message"], row["signal"]) for row in rows] == [
        (8, 1, "correction"),
        (8, 1, "negative_stance"),
    ]
    assert rows[0]["snippet"] == ANGRY[1]["content"][:80]


def test_rows_of_two_batches_stand_by_line(tmp_path):
    for name in ("traces", "signals", "faults"):
        (tmp_path / name).mkdir()
    with Tables(tmp_path, 0, "f", fast=False) as tables:
        tables.add(Trace(id="2", messages=ANGRY), 2)
        tables.add(Fault(file="f", line=3, reason="broken"), 3)
        tables.flush(flat([ANGRY, ANGRY[:1], ANGRY]), heads(1, 4, 5))
        tables.flush(last=True)
    assert (tables.traces, tables.faulty) == (4, 1)
    lines = {
        name: pq.read_table(tmp_path / name / "000000.parquet").column("line").to_pylist()
        for name in ("traces", "signals")
    }
    assert lines == {"traces": [1, 2, 4, 5], "signals": [1, 1, 2, 2, 5, 5]}
