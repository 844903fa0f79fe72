"""Triage on a cluster: the tables of a local one."""

import json

import pytest

from milepost.cli import main
from milepost.engines.on_ray.traces import scanning
from milepost.engines.triage.run import Triage, triage
from tests.engines.on_ray.work import files

pytestmark = pytest.mark.trainers


def test_the_same_tables(ray, tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    texts = [f"This is wrong {i}" if i % 3 else "fine" for i in range(200)]
    path.write_text(
        "".join(json.dumps({"messages": [{"role": "user", "content": t}]}) + "\n" for t in texts) + "broken"
    )
    settings = Triage(piece_bytes=4000)
    here = triage(path, tmp_path / "here", settings, tell=lambda _: None)
    there = triage(path, tmp_path / "there", settings, tell=lambda _: None, scanning=scanning)
    assert here == there
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert main(["triage", str(path), "--out", str(tmp_path / "command"), "--ray", "auto", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["traces"] == 200
