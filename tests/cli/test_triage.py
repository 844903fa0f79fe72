"""`milepost triage`: tables and a report beside the traces, which are only read."""

import hashlib
import json

import pyarrow.parquet as pq
import pytest

from milepost.cli import main
from milepost.curation.signals.taxonomy import KINDS
from tests.bridges.examples import FILES, write_lines
from tests.recipes.dialogues import dialogues


@pytest.fixture
def pool(tmp_path):
    conversations, _ = dialogues(120, 1)
    return write_lines(
        tmp_path / "pool.jsonl", [{"id": f"d{n}", "messages": one} for n, one in enumerate(conversations)]
    )


def test_a_report_and_tables(pool, capsys):
    assert main(["triage", str(pool), "--keep", "0.25", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    out = pool.with_name("pool.jsonl.triage")
    assert sorted(path.name for path in out.iterdir()) == [
        "faults.parquet", "report.txt", "signals.parquet", "traces.parquet",
    ]  # fmt: skip
    assert "120 traces in 1 files (chat)" in said
    assert "their rates are not those of the pool" in said
    assert (out / "report.txt").read_text() == said
    rows = pq.read_table(out / "traces.parquet").to_pylist()
    assert [row["id"] for row in rows] == [f"d{n}" for n in range(120)]
    assert sum(row["inclusion"] for row in rows) == pytest.approx(30, abs=1e-6)


def test_the_traces_are_only_read(pool):
    before = hashlib.sha256(pool.read_bytes()).hexdigest(), pool.stat().st_mtime_ns
    assert main(["triage", str(pool), "--workers", "1"]) == 0
    assert (hashlib.sha256(pool.read_bytes()).hexdigest(), pool.stat().st_mtime_ns) == before


@pytest.mark.parametrize("rule", ["signals", "length", "stratified", "random"])
def test_json_and_rules(pool, rule, tmp_path, capsys):
    arguments = ["--rule", rule, "--without", "dragging", "--out", str(tmp_path / "o"), "--workers", "1", "--json"]
    assert main(["triage", str(pool), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["kind"] for one in found["signals"]} == set(KINDS)
    assert found["traces"] == 120
    assert found["expected"] == pytest.approx(24, abs=0.01)
    assert all(one["kept"] <= one["traces"] for one in found["signals"])


def test_faults_set_the_exit_code(tmp_path, capsys):
    path = tmp_path / "tau2.json"
    path.write_bytes((FILES / "tau2.json").read_bytes()[:-500])
    assert main(["triage", str(path), "--workers", "1"]) == 1
    assert "1 records could not be read" in capsys.readouterr().out


def test_wrong_usage(pool, tmp_path, capsys):
    assert main(["triage", str(pool), "--keep", "2"]) == 2
    assert main(["triage", str(pool), "--without", "mood"]) == 2
    assert main(["triage", str(tmp_path / "none")]) == 2
    capsys.readouterr()
