"""`milepost report`."""

import json
from pathlib import Path


def test_one_file_by_default_in_the_run(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    done = call("report", "r")
    assert (done.code, done.out.strip()) == (0, "report: r/report.html")
    assert "<script" not in Path("r/report.html").read_text()


def test_another_place(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    found = json.loads(call("report", "r", "-o", "x/y.html", "--json").out)
    assert found["reports"][0]["report"] == "x/y.html"
    assert found["reports"][0]["bytes"] == Path("x/y.html").stat().st_size
    assert not Path("r/report.html").exists()


def test_repeats_get_one_each(call, engine):
    call("run", "barge", "--steps", "1", "--repeats", "2", "--out", "r", "--no-report")
    assert call("report", "r").code == 0
    assert all(Path(f"r/repeat-{number}/report.html").is_file() for number in (0, 1))
    assert call("report", "r", "-o", "x.html").code == 2


def test_what_is_not_a_run(call):
    done = call("report", "nowhere")
    assert done.code == 2
    assert "nowhere" in done.err
    assert "milepost run" in done.err
