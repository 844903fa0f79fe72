"""`milepost resume`."""

import json
from pathlib import Path

from milepost.engines import repeats


def stopped(call, engine, *words):
    engine.interrupt_at = 2
    assert call("run", "barge", "--steps", "4", "--out", "r", "--no-report", *words).code == 3


def test_a_stopped_run_goes_on(call, engine):
    stopped(call, engine)
    done = call("resume", "r", "--json", "--no-report")
    assert done.code == 0
    found = [json.loads(line) for line in done.out.splitlines()]
    assert found[0]["step"] == 2
    assert found[-1]["steps_done"] == 4
    assert engine.resumed == [(Path("r"), False)]


def test_accept_change_reaches_the_engine(call, engine):
    stopped(call, engine)
    call("resume", "r", "--accept-change", "--no-report", "--track", "trackio")
    assert engine.resumed == [(Path("r"), True)]
    assert engine.track == ("trackio",)


def test_a_finished_run_is_left_alone(call, engine):
    call("run", "barge", "--steps", "1", "--out", "r", "--no-report")
    assert call("resume", "r", "--no-report").code == 0
    assert engine.resumed == []


def test_repeats_go_on_where_they_stopped_and_may_become_more(call, engine):
    stopped(call, engine, "--repeats", "2")
    assert len(engine.started) == 1
    assert call("resume", "r", "--no-report").code == 0
    assert [path for path, _ in engine.resumed] == [Path("r/repeat-0")]
    assert len(engine.started) == 2
    done = call("resume", "r", "--repeats", "3", "--no-report")
    assert "mean of 3 repeats" in done.out
    assert len(repeats.runs_in(Path("r"))) == 3


def test_what_is_not_a_run(call, engine):
    Path("empty").mkdir()
    done = call("resume", "empty")
    assert done.code == 3
    assert "milepost run" in done.err
    assert call("resume").code == 2


def test_repeats_of_a_single_run_are_wrong_usage(call, engine):
    stopped(call, engine)
    done = call("resume", "r", "--repeats", "3")
    assert done.code == 2
    assert "not a folder of repeats" in done.err


def test_ctrl_c_again(call, engine):
    stopped(call, engine)
    engine.interrupt_at = 3
    done = call("resume", "r")
    assert done.code == 3
    assert "milepost resume r" in done.err
