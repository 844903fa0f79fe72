"""Pairs of runs: equal cost, shared seeds, tasks and start, and the numbers of their held-out answers."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from milepost.columns import Role
from milepost.engines import build, pairs, repeats
from milepost.engines.pairs import Side
from milepost.engines.settings import RunSettings, TaskSettings
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.ragged import Ragged
from tests.engines import letter_world


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take place in the world of letters; the other method draws half as many tasks a step."""
    monkeypatch.setattr(build, "world", letter_world.world)


def settings(steps: int = 4, tasks_per_step: int = 4) -> RunSettings:
    chosen = letter_world.settings(steps)
    return replace(chosen, update=replace(chosen.update, tasks_per_step=tasks_per_step, minibatches=1))


def run(out: Path, count: int = 2, unit: str = "tokens") -> pairs.Pairs:
    first, second = Side(name="a", settings=settings()), Side(name="b", settings=settings(tasks_per_step=2))
    return pairs.run(first, second, count=count, unit=unit, out=out, on_event=lambda *_: None)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pairs.Pairs]:
    """Two pairs, run once."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "world", letter_world.world)
        return folder, run(folder)


def test_the_second_spends_what_the_first_spent(two: tuple[Path, pairs.Pairs]):
    found = two[1]
    assert [one.step for one in found.first] == [4, 4]
    assert [one.step for one in found.second] == [8, 8]
    for one, two in zip(found.first, found.second, strict=True):
        assert one.cost["tokens"] == two.cost["tokens"] == 128
        assert one.settings.seed == two.settings.seed
        assert one.evaluations[0].success == two.evaluations[0].success
    assert found.first[0].settings.seed == repeats.seed_of(5, 0)
    assert found.first[1].settings.seed == repeats.seed_of(5, 1)


def test_another_unit(tmp_path: Path):
    found = run(tmp_path, count=1, unit="reward_calls")
    assert found.first[0].cost["reward_calls"] <= found.second[0].cost["reward_calls"]
    assert found.second[0].settings.cost == {"reward_calls": found.first[0].cost["reward_calls"]}


def test_finished_pairs_are_kept(two: tuple[Path, pairs.Pairs]):
    folder, before = two
    times = [one.folder.stat().st_mtime_ns for one in (*before.first, *before.second)]
    assert run(folder) == before
    assert [one.folder.stat().st_mtime_ns for one in (*before.first, *before.second)] == times


def test_a_first_that_spends_nothing_gives_the_second_no_step():
    assert pairs.budgeted(settings(), "tokens", 0.0).update.steps == 0
    assert pairs.budgeted(settings(), "tokens", 5.0).update.steps == pairs.UNLIMITED
    assert pairs.budgeted(settings(), "tokens", 5.0).cost == {"tokens": 5.0}


def test_methods_that_cannot_be_paired_are_refused(tmp_path: Path):
    first = Side(name="a", settings=settings())
    other = replace(settings(), tasks=TaskSettings(train=3))
    with pytest.raises(SettingError, match="differ in tasks"):
        pairs.run(first, Side(name="b", settings=other), count=1, unit="tokens", out=tmp_path, on_event=lambda *_: None)
    nothing = Side(name="a", settings=replace(settings(), tasks=TaskSettings(held_out=0)))
    with pytest.raises(SettingError, match="leaves nothing to compare"):
        pairs.run(nothing, nothing, count=1, unit="tokens", out=tmp_path, on_event=lambda *_: None)


def test_finished_runs_are_read_by_seed(two: tuple[Path, pairs.Pairs]):
    found = pairs.finished(two[0] / "a", two[0] / "b")
    assert [one.settings.seed for one in found.first] == sorted(one.settings.seed for one in found.first)
    assert len(found.second) == 2


def test_runs_from_other_tasks_are_refused(two: tuple[Path, pairs.Pairs], tmp_path: Path):
    shutil.copytree(two[0], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "b" / "repeat-1" / "manifest.json"
    record = json.loads(path.read_text())
    record["fingerprints"]["data"] = "other"
    path.write_text(json.dumps(record))
    with pytest.raises(SettingError, match="made from other tasks"):
        pairs.finished(tmp_path / "a", tmp_path / "b")


def test_results_are_the_numbers_of_the_last_evaluation(two: tuple[Path, pairs.Pairs]):
    found = two[1]
    for one, result in zip(found.first, pairs.results(found.first), strict=True):
        assert result.metrics["success"] == one.evaluations[-1].success
        assert result.metrics["reward/payoff"] == one.evaluations[-1].rewards["payoff"]
        assert sum(result.by_task) / len(result.by_task) == pytest.approx(result.metrics["success"])
        assert {**result.cost, "seconds": 0.0} == {**one.cost, "seconds": 0.0}
        assert result.cost["seconds"] > 0
    described = pairs.describe(found)
    assert described["second"][1]["steps_done"] == 8


def test_held_out_metrics_hand_example():
    offsets = torch.tensor([0, 1, 3, 5, 7, 9])
    role = torch.tensor([Role.PROMPT, *[Role.POLICY] * 8], dtype=torch.int8)
    log_prob = torch.tensor([0.0, *[-1.0, -3.0] * 4])
    found = pairs.held_out_metrics(
        Forest.of(
            [-1, 0, 0, 0, 0],
            {
                "text": ["q", "a", "b", "a", "c"],
                "tokens.id": Ragged(torch.zeros(9, dtype=torch.int32), offsets),
                "tokens.role": Ragged(role, offsets),
                "tokens.log_prob": Ragged(log_prob, offsets),
                "reward.solved": [None, 1.0, 0.0, 0.0, 0.0],
                "ok.solved": [False, True, True, True, True],
            },
        ),
        samples=4,
    )
    assert found == {
        "pass@2": pytest.approx(0.5), "pass@4": pytest.approx(1.0), "distinct": 0.75, "entropy": 2.0,
    }  # fmt: skip


def test_held_out_metrics_without_tokens():
    found = pairs.held_out_metrics(
        Forest.of([-1, 0], {"reward.solved": [None, 1.0], "ok.solved": [False, True]}), samples=1
    )
    assert found == {}
    assert all(math.isfinite(value) for value in found.values())


def test_equal_seconds_by_a_pilot_and_by_what_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A step of b takes half of a step of a, as timed: b gets twice the steps, and catches up on what it is behind."""
    monkeypatch.setattr(pairs.pacing, "seconds_of", lambda folder: [2.0 if folder.parent.name == "a" else 1.0] * 4)
    first, second = Side(name="a", settings=settings()), Side(name="b", settings=settings(tasks_per_step=2))
    told: list[tuple[str, int]] = []
    timed = pairs.timed(first, 6.0, tmp_path, lambda name, number, _: told.append((name, number)))
    assert timed.settings.update.steps == 3
    assert ("a", -1) in told
    found = pairs.run(timed, second, count=2, unit="seconds", out=tmp_path, on_event=lambda *_: None)
    assert [one.step for one in found.first] == [3, 3]
    assert [one.step for one in found.second] == [8, 12]  # 8 s of a; then 8 - 4 s left over and 8 s more
    costs = [one.cost["seconds"] for one in pairs.results(found.second)]
    assert costs == [4.0, 4.0]
