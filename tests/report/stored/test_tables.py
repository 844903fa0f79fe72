import numpy as np
import pytest

from milepost import storage
from milepost.report.stored import run, steps, tables
from milepost.report.stored.steps import Steps
from tests.report import worlds


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run.read(worlds.run(tmp_path_factory.mktemp("runs") / "demo", steps=4))


def test_rewards_by_name(demo):
    rows = {row.name: row for row in tables.rewards(demo)}
    assert list(rows) == ["format", "outcome", "total"]
    assert rows["outcome"].first == demo.metrics[0]["reward/outcome_mean"]
    assert rows["outcome"].last == demo.metrics[-1]["reward/outcome_mean"]
    assert rows["format"].failed == 0.0
    assert rows["outcome"].held_out_first == demo.evaluations[0]["rewards"]["outcome"]
    assert rows["total"].held_out_last is None


def test_reasons_are_counted_by_code(demo):
    opened = [(one.step, steps.read(one.folder)) for one in demo.forests]
    rows = tables.reasons(opened)
    truth = sum(reason is not None for _, forest in opened for reason in forest.texts["reason.outcome"])
    assert sum(row.count for row in rows) == truth > 0
    assert {row.code for row in rows} <= {"reward_timeout", "reward_error"}
    assert rows[0].count >= rows[-1].count
    first = rows[0]
    assert dict(opened)[first.step].text("reason.outcome", first.row) == f"{first.code}: {first.example}"


def test_costs_are_running_sums(demo):
    rows = {row.unit: row for row in tables.costs(demo)}
    assert rows["tokens"].total == demo.metrics[-1]["cost/tokens"]
    assert rows["tokens"].per_step == rows["tokens"].total / 4
    assert [row.unit for row in tables.seconds(demo)] == ["grow", "update", "credit"]


def test_outcomes_and_families(demo):
    first = tables.outcomes(steps.read(demo.held_out[0].folder))
    assert len(first) == 36
    mean = sum(one.success for one in first) / 36
    assert mean == pytest.approx(demo.evaluations[0]["success"])
    rows = tables.families(demo, first)
    assert [(row.name, row.tasks) for row in rows] == [("sorting", 12), ("sums", 12), ("words", 12)]


def test_composition_is_found_and_not_invented(tmp_path):
    storage.write(worlds.answers(3, 12), tmp_path)
    assert tables.composition(steps.read(tmp_path)) == "total = 0.2 × format + 1 × outcome"
    other = {"reward.a": np.array([0, 1.0, 2.0]), "reward.total": np.array([0, 1.0, 5.0])}
    assert tables.composition(Steps(parent=np.array([-1, 0, 0]), numbers=other)) == ""


def test_settings_are_flattened():
    record = {"a": {"b": 1, "c": {}}, "d": [1, 2], "e": True, "f": []}
    assert tables.flatten(record) == (("a.b", "1"), ("a.c", "none"), ("d", "1, 2"), ("e", "yes"), ("f", "none"))
