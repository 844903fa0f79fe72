"""The manifest: everything that would change a continued run is noticed and named."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from milepost.engines import plan
from milepost.engines.settings import KeepSettings, RunSettings, UpdateSettings
from milepost.errors import FormatError, ResumeError
from milepost.part import Task

TASKS = [Task(id="sum:1", record={"question": "1 + 1"}), Task(id="sum:2", record={"question": "1 + 2"})]
SETTINGS = RunSettings(recipe="grpo", seed=1)


def test_the_same_run_has_no_differences(tmp_path: Path) -> None:
    plan.write(tmp_path, plan.manifest(SETTINGS, TASKS))
    assert plan.differences(plan.read(tmp_path), plan.manifest(SETTINGS, TASKS)) == []


def test_what_is_kept_along_the_way_may_change(tmp_path: Path) -> None:
    other = replace(SETTINGS, keep=KeepSettings(evaluate_every=5, workers=2))
    assert plan.differences(plan.manifest(SETTINGS, TASKS), plan.manifest(other, TASKS)) == []


@pytest.mark.parametrize(
    ("settings", "tasks", "what"),
    [
        (replace(SETTINGS, recipe="vas"), TASKS, "the settings changed"),
        (replace(SETTINGS, update=UpdateSettings(learning_rate=1.0)), TASKS, "the settings changed"),
        (SETTINGS, TASKS[:1], "the data changed"),
        (SETTINGS, [TASKS[0], Task(id="sum:2", record={"question": "1 + 3"})], "the data changed"),
    ],
)
def test_a_change_is_named(settings: RunSettings, tasks: list[Task], what: str) -> None:
    assert plan.differences(plan.manifest(SETTINGS, TASKS), plan.manifest(settings, tasks)) == [what]


def test_a_changed_reward_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    settings = replace(SETTINGS, reward=(f"{path}:reward",))
    path.write_text("def reward(completions): return [0.0 for _ in completions]\n")
    before = plan.manifest(settings, TASKS)
    path.write_text("def reward(completions): return [1.0 for _ in completions]\n")
    assert plan.differences(before, plan.manifest(settings, TASKS)) == ["the rewards changed"]


def test_a_changed_reward_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    settings = replace(SETTINGS, reward=("scoring_rules:reward",))
    path = tmp_path / "scoring_rules.py"
    path.write_text("def reward(completions): return [0.0 for _ in completions]\n")
    importlib.invalidate_caches()
    before = plan.manifest(settings, TASKS)
    assert plan.differences(before, plan.manifest(settings, TASKS)) == []
    path.write_text("def reward(completions): return [1.0 for _ in completions]\n")
    assert plan.differences(before, plan.manifest(settings, TASKS)) == ["the rewards changed"]


def test_other_code_and_other_versions_are_named() -> None:
    now = plan.manifest(SETTINGS, TASKS)
    before = json.loads(json.dumps(now))
    before["fingerprints"]["code"] = "other"
    before["versions"]["numpy"] = "1.0"
    found = plan.differences(before, now)
    assert found[0] == "the code changed"
    assert found[1].startswith("numpy was 1.0 and is ")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="not a run"):
        plan.read(tmp_path)


@pytest.mark.parametrize(("content", "says"), [("{", "damaged"), ("[]", "damaged"), ('{"schema": 99}', "schema 99")])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / plan.NAME).write_text(content)
    with pytest.raises(FormatError, match=says):
        plan.read(tmp_path)
