import dataclasses
import math

import pytest

from milepost.engines.pairs import UNLIMITED
from milepost.report.stored import run, steps, tables
from milepost.report.verdict import Change, bounds, change, facts, verdict
from tests.report import worlds


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run.read(worlds.run(tmp_path_factory.mktemp("runs") / "demo", steps=4))


def outcome(task, success, family="sums"):
    return tables.Outcome(task=task, family=family, root=0, success=success)


def test_change_is_paired_by_task():
    first = [outcome("a", 0.0), outcome("b", 0.5), outcome("gone", 1.0)]
    last = [outcome("b", 1.0), outcome("a", 1.0), outcome("new", 0.0)]
    found = change(first, last)
    assert (found.tasks, found.gain) == (2, 0.75)
    assert found.low < 0.75 < found.high
    assert change(first, []) is None


def test_change_of_a_stored_run(demo):
    first, last = (tables.outcomes(steps.read(demo.held_out[place].folder)) for place in (0, -1))
    found = change(first, last)
    assert found.tasks == 36
    assert found.gain == pytest.approx(demo.evaluations[-1]["success"] - demo.evaluations[0]["success"])


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Change(gain=0.3, low=0.2, high=0.4, tasks=36), "Success rose by 30.0 points on 36 held-out tasks, in 4 steps"),
        (Change(gain=-0.3, low=-0.4, high=-0.2, tasks=36), "Success fell by 30.0 points"),
        (Change(gain=0.01, low=-0.1, high=0.12, tasks=36), "No change can be told"),
        (Change(gain=0.2, low=math.nan, high=math.nan, tasks=1), "too few tasks for an interval"),
        (None, "cannot be paired"),
    ],
)
def test_the_sentence_claims_no_more_than_the_interval(demo, found, told):
    assert told in verdict(demo, found).sentence


def test_without_evaluation_nothing_is_claimed(demo):
    found = verdict(dataclasses.replace(demo, evaluations=()), None)
    assert (found.first, found.last) == (None, None)
    assert "nothing is claimed" in found.sentence


def test_one_evaluation(demo):
    found = verdict(dataclasses.replace(demo, evaluations=demo.evaluations[:1]), None)
    assert found.first is None
    assert "Measured once, after 0 training steps" in found.sentence


def test_warnings(demo):
    bad = dataclasses.replace(
        demo,
        manifest={**demo.manifest, "steps": 9},
        metrics=tuple({**record, "reward/total_failed": 0.5, "update/skipped": 1.0} for record in demo.metrics),
    )
    told = " ".join(verdict(bad, None).warnings)
    assert "stopped after 4 of 9 steps" in told
    assert "4 of 4 steps changed no weights" in told
    assert "50.0\u202f% of the rewards failed" in told
    assert verdict(demo, None).warnings == ()


def test_a_run_that_ends_with_its_budget_owes_no_steps(demo):
    budgeted = dataclasses.replace(demo, manifest={**demo.manifest, "steps": UNLIMITED})
    assert verdict(budgeted, None).warnings == ()
    assert facts(budgeted)[0].detail == ""


def test_facts(demo):
    found = {fact.name: fact for fact in facts(demo)}
    spent = ["Tokens", "Model calls", "Reward calls"]
    assert list(found) == ["Training steps", "Training time", *spent, "Failed rewards", "Dead groups", "Seed"]
    assert (found["Training steps"].value, found["Seed"].value) == ("4", "0")


def test_facts_of_an_empty_run(demo):
    empty = dataclasses.replace(demo, metrics=(), timings=(), manifest={}, settings={})
    assert {fact.name: fact.value for fact in facts(empty)} == {
        "Training steps": "0",
        "Training time": "–",
        "Seed": "–",
    }


def test_bounds_of_a_family():
    low, high = bounds([outcome("a", 0.0), outcome("b", 1.0), outcome("c", 0.5, "words")], "sums")
    assert (low, high) == (0.0, 1.0)
    assert bounds([outcome("c", 0.5, "words")], "words") == (None, None)


def test_measures_are_told_beside_success(demo):
    told = [
        {**record, "measures": {"data_gap": gap}} for record, gap in zip(demo.evaluations, (0.01, 0.25), strict=False)
    ]
    note = verdict(dataclasses.replace(demo, evaluations=tuple(told)), None).note
    assert "Measured beside it: data gap 0.010 to 0.250." in note
    assert "Measured" not in verdict(demo, None).note


def test_one_held_out_task_has_no_interval_to_tell(demo):
    alone = tuple(
        {**one, "low": low, "high": low} for one, low in zip(demo.evaluations, (None, math.nan), strict=False)
    )
    found = verdict(
        dataclasses.replace(demo, evaluations=alone), Change(gain=0.0, low=math.nan, high=math.nan, tasks=1)
    )
    assert "No interval: that takes two tasks at least" in found.note
    assert "on 1 held-out task, in" in found.sentence
