"""What a run shows while it goes."""

import io
import json
import math

import pytest
from rich.console import Console

from milepost.cli import progress
from milepost.engines.events import Event
from milepost.engines.pairs import UNLIMITED


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def event(stage, step, message="", **numbers):
    return Event(
        stage=stage, step=step, steps=10, numbers={k.replace("__", "/"): v for k, v in numbers.items()}, message=message
    )


def go(tell, clock, steps=4, seconds=2.0):
    tell(event("start", 0))
    for step in range(1, steps + 1):
        clock.now += seconds
        tell(
            event(
                "update", step, cost__tokens=1000.0 * step, reward__total_failed=0.25, reward__total_mean=0.5,
                credit__dead_groups=0.125, objective__loss=-0.01, update__skipped=0.0,
            )
        )  # fmt: skip


def test_pace():
    clock = Clock()
    pace = progress.Pace(limits={"tokens": 5000.0}, clock=clock)
    go(pace.tell, clock)
    assert pace.seconds_per_step == 2
    assert pace.rate("tokens") == 500
    assert pace.remaining(10) == 2  # the budget ends before the steps do
    assert progress.Pace(limits={}, clock=clock).remaining(10) is not None


def test_pace_knows_nothing_at_first():
    pace = progress.Pace(limits={})
    assert math.isnan(pace.remaining(10))
    pace.tell(event("start", 3))
    assert math.isnan(pace.seconds_per_step)
    assert math.isnan(pace.rate("tokens"))


def test_a_resumed_run_counts_from_where_it_starts():
    clock = Clock()
    pace = progress.Pace(limits={}, clock=clock)
    pace.tell(event("start", 8, cost__tokens=8000.0))
    clock.now += 3
    pace.tell(event("update", 9, cost__tokens=8600.0))
    assert (pace.seconds_per_step, pace.remaining(10), pace.rate("tokens")) == (3, 3, 200)


def test_plain_lines(capsys):
    clock = Clock()
    with progress.PlainLines(clock=clock, every_s=0) as view:
        tell = view.of("", {})
        tell(event("evaluate", 0, evaluate__success=0.125, evaluate__low=0.1, evaluate__high=0.2))
        go(tell, clock)
        tell(event("warning", 4, "odd \x1b[31m thing"))
        tell(event("refresh", 4))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "step 0/10  held-out success 12.5% (10.0% to 20.0%)"
    assert said[-3] == (
        "step 4/10  2.00 s/step  remaining 0:12  grow: 500 tokens/s  score: valid rewards 75.0%  total 0.500  "
        "credit: dead groups 12.5%  update: loss -0.0100"
    )
    assert said[-2] == "step 4/10  warning: odd ⟨U+001B⟩[31m thing"
    assert "tasks scored again" in said[-1]


def test_plain_lines_are_not_too_many_and_the_last_is_shown(capsys):
    clock = Clock()
    with progress.PlainLines(clock=clock, every_s=3.0) as view:
        go(view.of("barge 0", {}), clock, steps=10, seconds=0.9)
    said = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert said == ["step 1/10", "step 5/10", "step 9/10", "step 10/10"]


def test_json_lines(capsys):
    with progress.JsonLines() as view:
        tell = view.of("a 0", {})
        tell(event("start", 0))
        tell(event("update", 1, objective__loss=math.nan))
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found[1]["event"], found[1]["run"], found[1]["numbers"]) == ("update", "a 0", {"objective/loss": None})


def test_live_lines_have_one_line_per_stage():
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    view = progress.LiveLines(console=console)
    with view:
        tell = view.of("", {})
        tell(event("evaluate", 0, evaluate__success=0.125, evaluate__low=0.1, evaluate__high=0.2))
        go(tell, clock)
        tell(event("warning", 4, "odd [bold] thing"))
        lines = view.live.get_renderable().renderables
    shown = [line.plain for line in lines]
    assert shown[0].startswith("step 4/10  ")
    assert [line.split()[0] for line in shown[1:]] == ["held", "score", "credit", "update"] or [
        line.split()[0] for line in shown[1:]
    ] == ["held", "grow", "score", "credit", "update"]
    assert "warning: odd [bold] thing" in screen.getvalue()


def test_seconds_of_a_stage_are_shown_where_they_are_known():
    pace = progress.Pace(limits={})
    found = progress.stages({"seconds/grow": 1.5, "grow/truncated": 0.5, "update/skipped": 1.0}, pace)
    assert found == {"grow": "1.50 s  truncated 50.0%", "update": "skipped"}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3723, "1:02:03"), (math.nan, "?"), (math.inf, "?")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(12, "12"), (8200, "8.2k"), (3.1e6, "3.1M"), (2e9, "2G"), (math.nan, "?")]
)
def test_short_numbers(number, text):
    assert progress.short(number) == text


def test_the_view_suits_the_output(monkeypatch):
    assert isinstance(progress.view(as_json=True), progress.JsonLines)
    assert isinstance(progress.view(as_json=False), progress.PlainLines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert isinstance(progress.view(as_json=False), progress.LiveLines)


def test_a_run_that_only_its_budget_ends_shows_the_budget(capsys):
    tell = progress.PlainLines(every_s=0.0).of("second 0", {"tokens": 2000.0})
    for step in (0, 1):
        numbers = {"cost/tokens": 500.0 * step}
        tell(Event(stage="update" if step else "start", step=step, steps=UNLIMITED, numbers=numbers, message=""))
    tell(Event(stage="evaluate", step=1, steps=UNLIMITED, numbers={"evaluate/success": 0.5}, message=""))
    said = capsys.readouterr().out
    assert str(UNLIMITED) not in said
    assert said.count("step 1  500 of 2k tokens") == 2
