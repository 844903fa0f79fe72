"""Seconds of steps, the typical one, and how many steps a time is."""

import json

import pytest

from milepost.engines.pairing import pacing
from milepost.engines.settings import RunSettings, UpdateSettings
from milepost.errors import SettingError


def test_seconds_are_summed_over_stages(tmp_path):
    lines = [{"step": 1, "grow": 1.0, "update": 0.5}, {"step": 2, "grow": 0.25, "credit": 0.25, "update": 0.5}]
    (tmp_path / "timings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert pacing.seconds_of(tmp_path) == [1.5, 1.0]
    assert pacing.seconds_of(tmp_path / "nowhere") == []


def test_the_first_step_does_not_count_unless_it_is_alone():
    assert pacing.typical([9.0, 1.0, 3.0, 2.0]) == 2.0
    assert pacing.typical([9.0, 1.0, 3.0]) == 2.0
    assert pacing.typical([9.0]) == 9.0
    with pytest.raises(SettingError):
        pacing.typical([])


def test_steps_are_rounded_and_at_least_one():
    assert [pacing.steps_for(seconds, 0.5) for seconds in (0.0, 0.7, 0.8, 10.0)] == [1, 1, 2, 20]


def test_a_pilot_is_short_and_has_no_budget():
    settings = RunSettings(recipe="grpo", cost={"tokens": 100}, update=UpdateSettings(steps=50, learning_rate=0.1))
    short = pacing.pilot(settings)
    assert (short.update.steps, dict(short.cost), short.update.learning_rate) == (pacing.PILOT, {}, 0.1)
    assert pacing.fixed(settings, 7).update.steps == 7
