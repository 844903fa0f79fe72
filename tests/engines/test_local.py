"""The loop: the same bytes after a kill, failed rewards as data, budgets, dynamic sampling, workers."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from milepost import storage
from milepost.engines import build, local, plan
from milepost.engines.events import Event
from milepost.engines.settings import RunSettings
from milepost.errors import MilepostError, ResumeError
from milepost.sampling.mixture import Mixture, WholePool
from milepost.sampling.variance import VariancePromotion
from tests.engines import letter_world

EXCEPT_TIMES = ("timings.jsonl",)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take place in the world of letters."""
    monkeypatch.setattr(build, "world", letter_world.world)


def quiet(event: Event) -> None:
    """Watch nothing."""


def digest(folder: Path) -> dict[str, str]:
    """Content of every file of a run, times left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in EXCEPT_TIMES]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def reference(folder: Path, steps: int = 6) -> dict[str, str]:
    local.run(letter_world.settings(steps), folder, on_event=quiet)
    return digest(folder)


class Stop(Exception):
    """Raised by a watcher to stop a run where it stands."""


def stop_at(stage: str, step: int) -> local.OnEvent:
    def watch(event: Event) -> None:
        if (event.stage, event.step) == (stage, step):
            raise Stop

    return watch


def test_the_same_run_twice_has_the_same_bytes(tmp_path: Path) -> None:
    assert reference(tmp_path / "one") == reference(tmp_path / "two")


@pytest.mark.parametrize("step", [0, 1, 3, 6])
@pytest.mark.parametrize("stage", ["update", "checkpoint", "evaluate"])
def test_a_run_stopped_at_a_stage_continues_to_the_byte(tmp_path: Path, stage: str, step: int) -> None:
    whole = reference(tmp_path / "whole")
    try:
        local.run(letter_world.settings(), tmp_path / "cut", on_event=stop_at(stage, step))
    except Stop:
        local.resume(tmp_path / "cut", on_event=quiet)
    assert digest(tmp_path / "cut") == whole


def start(folder: Path, steps: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.engines.letter_world", str(folder), "resume", str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_a_run_killed_ten_times_ends_with_the_same_bytes(tmp_path: Path) -> None:
    steps, kills, moments = 60, 0, random.Random(11)
    whole = reference(tmp_path / "whole", steps)
    while True:
        process = start(tmp_path / "cut", steps)
        assert process.stdout is not None
        if kills < 10:
            process.stdout.readline()
            time.sleep(moments.uniform(0.02, 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            kills += 1
            continue
        process.communicate(timeout=120)
        assert process.returncode == 0
        break
    assert digest(tmp_path / "cut") == whole


def test_checkpoints_may_be_rare(tmp_path: Path) -> None:
    whole = reference(tmp_path / "whole")
    settings = letter_world.settings(checkpoint_every=4)
    with pytest.raises(Stop):
        local.run(settings, tmp_path / "cut", on_event=stop_at("update", 3))
    local.resume(tmp_path / "cut", on_event=quiet)
    cut = digest(tmp_path / "cut")
    same = [name for name in whole if not name.startswith(("run.toml", "manifest.json"))]
    assert {name: cut[name] for name in same} == {name: whole[name] for name in same}


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    reference(tmp_path / "run")
    before = digest(tmp_path / "run")
    outcome = local.resume(tmp_path / "run", on_event=quiet)
    assert outcome.steps_done == 6
    assert digest(tmp_path / "run") == before


def test_workers_do_not_change_the_trajectories(tmp_path: Path) -> None:
    whole = reference(tmp_path / "one")
    local.run(letter_world.settings(workers=2), tmp_path / "two", on_event=quiet)
    two = digest(tmp_path / "two")
    same = [name for name in whole if not name.startswith(("run.toml", "manifest.json"))]
    assert {name: two[name] for name in same} == {name: whole[name] for name in same}


def test_a_changed_run_is_refused_unless_accepted(tmp_path: Path) -> None:
    reference(tmp_path / "run")
    text = (tmp_path / "run" / "run.toml").read_text()
    (tmp_path / "run" / "run.toml").write_text(text.replace("learning_rate = 0.2", "learning_rate = 0.1"))
    with pytest.raises(ResumeError, match=r"the settings changed.*--accept-change"):
        local.resume(tmp_path / "run", on_event=quiet)
    assert local.resume(tmp_path / "run", on_event=quiet, accept_change=True).steps_done == 6


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    reference(tmp_path / "run", 1)
    with pytest.raises(ResumeError, match="milepost resume"):
        local.run(letter_world.settings(), tmp_path / "run", on_event=quiet)


def failing(monkeypatch: pytest.MonkeyPatch, letters: str) -> None:
    monkeypatch.setattr(build, "world", lambda settings: letter_world.world(settings, failing=letters))


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_failed_rewards_are_counted_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "b")
    local.run(letter_world.settings(max_invalid=0.9), tmp_path / "run", on_event=quiet)
    metrics = lines(tmp_path / "run" / "metrics.jsonl")
    forest = storage.read(tmp_path / "run" / "forests" / "step-000001")
    leaves = forest.leaves().tolist()
    planted = [row for row in leaves if (forest.text("text")[row] or "").startswith("b")]
    assert planted
    assert metrics[0]["reward/payoff_failed"] == pytest.approx(len(planted) / len(leaves))
    assert all(forest.text("reason.payoff")[row] == "reward_error: planted" for row in planted)
    assert not forest["ok.total"][planted].any()


def test_too_many_failures_skip_the_step_and_then_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "*")
    heard: list[str] = []
    with pytest.raises(MilepostError, match=r"5 steps in a row.*the judge is gone.*milepost resume"):
        local.run(letter_world.settings(9), tmp_path / "run", on_event=lambda event: heard.append(event.message))
    assert sum("step skipped" in message for message in heard) == 5


def test_a_mended_reward_lets_the_run_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "*")
    with pytest.raises(MilepostError, match="in a row"):
        local.run(letter_world.settings(9), tmp_path / "run", on_event=quiet)
    failing(monkeypatch, "")
    assert local.resume(tmp_path / "run", on_event=quiet).steps_done == 9


@pytest.mark.parametrize(
    ("budget", "steps", "spent"), [(100.0, 3, 96), (112.0, 4, 112), (118.0, 4, 120), (128.0, 4, 128), (1.0, 1, 32)]
)
def test_the_last_step_is_cut_to_fit_the_budget(tmp_path: Path, budget: float, steps: int, spent: int) -> None:
    settings = replace(letter_world.settings(50), cost={"tokens": budget})
    outcome = local.run(settings, tmp_path / "run", on_event=quiet)
    assert (outcome.stopped, outcome.steps_done, outcome.cost["tokens"]) == ("budget", steps, spent)


@pytest.mark.parametrize(("budget", "spent"), [(100.0, 72 + 32), (150.0, 72 + 32 + 32 + 16), (136.0, 72 + 32 + 32)])
def test_a_scoring_pass_before_the_first_step_does_not_make_steps_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: float, spent: int
) -> None:
    choice = Mixture(scorer=VariancePromotion(reward="payoff"), refresher=WholePool(width=3))
    monkeypatch.setattr(build, "world", lambda settings: letter_world.world(settings, choice=choice))
    outcome = local.run(replace(letter_world.settings(50), cost={"tokens": budget}), tmp_path / "run", on_event=quiet)
    assert outcome.cost["tokens"] == spent


def test_a_scoring_pass_that_is_due_in_the_last_step_comes_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = Mixture(scorer=VariancePromotion(reward="payoff"), refresher=WholePool(width=3, every=3))
    monkeypatch.setattr(build, "world", lambda settings: letter_world.world(settings, choice=choice))
    settings = replace(letter_world.settings(50), cost={"tokens": 200.0})
    outcome = local.run(settings, tmp_path / "run", on_event=quiet)
    assert outcome.cost["tokens"] == 72 + 3 * 32 + 72 + 32


def test_scoring_passes_are_paid_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = Mixture(scorer=VariancePromotion(reward="payoff"), refresher=WholePool(width=3))
    monkeypatch.setattr(build, "world", lambda settings: letter_world.world(settings, choice=choice))
    outcome = local.run(letter_world.settings(2), tmp_path / "run", on_event=quiet)
    assert outcome.cost["tokens"] == 12 * 3 * 2 + 2 * 32


def test_only_the_latest_forests_are_kept_when_asked(tmp_path: Path) -> None:
    local.run(letter_world.settings(6, forests=2), tmp_path / "run", on_event=quiet)
    kept = sorted(path.name for path in (tmp_path / "run" / "forests").iterdir())
    assert kept == ["step-000005", "step-000006"]


def test_the_saved_settings_repeat_the_run(tmp_path: Path) -> None:
    whole = reference(tmp_path / "one")
    settings: RunSettings = local.toml_file.read(tmp_path / "one" / "run.toml")
    local.run(settings, tmp_path / "two", on_event=quiet)
    assert digest(tmp_path / "two") == whole
    assert plan.read(tmp_path / "two") == plan.read(tmp_path / "one")
