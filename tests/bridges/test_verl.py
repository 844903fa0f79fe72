"""Rows of verl: dumped rollouts, and Parquet files of prompts read batch by batch."""

import pyarrow as pa
import pyarrow.parquet as pq

from milepost.bridges import verl
from milepost.columns import End
from milepost.traces.record import Fault, Trace
from tests.bridges.examples import CHAT, LINES, traces


def test_a_rollout_has_a_score():
    found = verl.of_value(LINES["verl"][0], "f", 4)
    assert [m["content"] for m in found.messages] == ["One?", "1"]
    assert (found.rewards, found.end, found.id) == ({"outcome": 1.0}, End.TERMINATED, "4")


def test_prompts_of_a_parquet_file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([LINES["verl"][1]] * 600), path)
    found = traces(verl.read(path))
    assert len(found) == 600
    assert (found[0].task, found[0].end) == ("sums:7", End.OPEN)
    assert verl.value_of(found[0]) == LINES["verl"][1]
    path.write_bytes(path.read_bytes()[:-50])
    (fault,) = verl.read(path)
    assert "damaged" in fault.reason


def test_any_conversation_becomes_a_rollout():
    row = verl.value_of(Trace(id="1", messages=CHAT, rewards={"outcome": 0.5}))
    assert row["score"] == 0.5
    assert row["output"] == "3"
    assert row["input"].startswith("Be brief.\nOne plus\ntwo?")


def test_faults():
    for wrong in (3, {"a": 1}, {"input": 1, "output": 2}, {"prompt": "x"}):
        assert isinstance(verl.of_value(wrong, "f", 1), Fault)
