"""Repeats: derived seeds, folders that continue, and how far a run is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from milepost import keys
from milepost.engines import build, repeats
from milepost.engines.events import Event
from milepost.errors import FormatError, ResumeError, SettingError
from tests.engines import letter_world


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take place in the world of letters."""
    monkeypatch.setattr(build, "world", letter_world.world)


class Stop(Exception):
    """Raised by a watcher to stop a run."""


def quiet(event: Event) -> None:
    """Watch nothing."""


def stop_after(step: int) -> repeats.OnEvent:
    def watch(event: Event) -> None:
        if event.stage == "checkpoint" and event.step == step:
            raise Stop

    return watch


def content(folders: Sequence[Path]) -> list[bytes]:
    return [(folder / "checkpoint.safetensors").read_bytes() for folder in folders]


def test_seeds_are_children_of_the_root_key():
    seeds = [repeats.seed_of(3, number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert seeds[4] == keys.seed_of(keys.fold(keys.root(3), "repeat", 4))
    assert repeats.seed_of(4, 0) not in seeds
    with pytest.raises(SettingError, match="repeat=-1"):
        repeats.seed_of(3, -1)


def test_standing_of_a_finished_and_of_a_stopped_run(tmp_path: Path):
    found = repeats.begin(letter_world.settings(4), tmp_path / "r", on_event=quiet)
    assert (found.step, found.finished, [one.step for one in found.evaluations]) == (4, True, [0, 4])
    assert found.cost["tokens"] == 4 * 4 * 4 * 2
    with pytest.raises(Stop):
        repeats.begin(letter_world.settings(4), tmp_path / "s", on_event=stop_after(2))
    assert (repeats.standing(tmp_path / "s").step, repeats.standing(tmp_path / "s").finished) == (2, False)


def test_a_budget_that_is_spent_is_finished(tmp_path: Path):
    settings = replace(letter_world.settings(1000), cost={"tokens": 64})
    found = repeats.begin(settings, tmp_path / "r", on_event=quiet)
    assert (found.step, found.finished) == (2, True)


def test_a_run_that_was_killed_before_its_first_checkpoint_is_at_step_0(tmp_path: Path):
    repeats.begin(letter_world.settings(1), tmp_path / "r", on_event=quiet)
    (tmp_path / "r" / "checkpoint.safetensors").unlink()
    assert (repeats.standing(tmp_path / "r").step, repeats.standing(tmp_path / "r").finished) == (0, False)


def test_resume_leaves_a_finished_run_alone_and_continues_another(tmp_path: Path):
    whole = repeats.begin(letter_world.settings(4), tmp_path / "r", on_event=quiet)
    assert repeats.resume(tmp_path / "r", on_event=stop_after(0)) == whole
    with pytest.raises(Stop):
        repeats.begin(letter_world.settings(4), tmp_path / "s", on_event=stop_after(2))
    repeats.resume(tmp_path / "s", on_event=quiet)
    assert content([tmp_path / "r"]) == content([tmp_path / "s"])


def test_more_repeats_do_not_change_earlier_ones(tmp_path: Path):
    settings = letter_world.settings(2)
    told: list[int] = []
    few = repeats.repeat(settings, 2, tmp_path / "few", on_event=lambda number, _: told.append(number))
    assert sorted(set(told)) == [0, 1]
    many = repeats.repeat(settings, 3, tmp_path / "many", on_event=lambda *_: None)
    assert content([one.folder for one in few]) == content([one.folder for one in many[:2]])
    assert repeats.asked(tmp_path / "many") == 3
    assert repeats.runs_in(tmp_path / "many") == tuple(tmp_path / "many" / f"repeat-{number}" for number in range(3))
    assert len({one.settings.seed for one in many}) == 3


def test_fewer_repeats_do_not_forget_how_many_there_are(tmp_path: Path):
    settings = letter_world.settings(1)
    repeats.repeat(settings, 2, tmp_path / "r", on_event=lambda *_: None)
    repeats.repeat(settings, 1, tmp_path / "r", on_event=lambda *_: None)
    assert repeats.asked(tmp_path / "r") == 2


def test_an_evaluation_on_the_way_is_not_the_end(tmp_path: Path):
    with pytest.raises(Stop):
        repeats.begin(letter_world.settings(4, evaluate_every=2), tmp_path / "r", on_event=stop_after(2))
    found = repeats.standing(tmp_path / "r")
    assert (found.evaluations[-1].step, found.step, found.finished) == (2, 2, False)


def test_repeats_continue_where_they_stopped(tmp_path: Path):
    settings, calls = letter_world.settings(2), []

    def stop(number: int, event: Event) -> None:
        calls.append(number)
        if number == 1 and event.stage == "update":
            raise Stop

    with pytest.raises(Stop):
        repeats.repeat(settings, 3, tmp_path / "cut", on_event=stop)
    found = repeats.repeat(settings, 3, tmp_path / "cut", on_event=lambda *_: None)
    whole = repeats.repeat(settings, 3, tmp_path / "whole", on_event=lambda *_: None)
    assert content([one.folder for one in found]) == content([one.folder for one in whole])


def test_tuples_in_settings_survive_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = replace(letter_world.settings(1), settings={"names": ("x", "y")})
    repeats.repeat(settings, 1, tmp_path / "r", on_event=lambda *_: None)
    assert repeats.repeat(settings, 1, tmp_path / "r", on_event=lambda *_: None)[0].finished


def test_other_settings_in_the_folder_are_refused(tmp_path: Path):
    repeats.repeat(letter_world.settings(1), 1, tmp_path / "r", on_event=lambda *_: None)
    with pytest.raises(ResumeError, match="other settings"):
        repeats.repeat(letter_world.settings(2), 1, tmp_path / "r", on_event=lambda *_: None)


def test_repeats_do_not_go_into_a_single_run(tmp_path: Path):
    repeats.begin(letter_world.settings(1), tmp_path / "r", on_event=quiet)
    with pytest.raises(ResumeError, match="single run"):
        repeats.repeat(letter_world.settings(1), 1, tmp_path / "r", on_event=lambda *_: None)


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(FormatError, match="holds no run"):
        repeats.runs_in(tmp_path)
    with pytest.raises(FormatError, match="is not a run"):
        repeats.standing(tmp_path)
    with pytest.raises(SettingError, match="repeats=0"):
        repeats.repeat(letter_world.settings(1), 0, tmp_path / "r", on_event=lambda *_: None)


def test_damaged_files_are_named(tmp_path: Path):
    repeats.repeat(letter_world.settings(1), 1, tmp_path / "r", on_event=lambda *_: None)
    (tmp_path / "r" / "repeat-0" / "checkpoint.safetensors").write_bytes(b"short")
    with pytest.raises(FormatError, match="cannot be read as a checkpoint"):
        repeats.standing(tmp_path / "r" / "repeat-0")
    (tmp_path / "r" / "repeats.json").write_text(json.dumps({"repeat": 3}))
    with pytest.raises(FormatError, match=r"repeats\.json is damaged"):
        repeats.asked(tmp_path / "r")


def test_a_finished_run_says_that_its_file_was_changed(tmp_path: Path):
    out = tmp_path / "r"
    repeats.begin(letter_world.settings(2), out, on_event=quiet)
    text = (out / "run.toml").read_text()
    (out / "run.toml").write_text(text.replace("checkpoint_every = ", "checkpoint_every = 1"))
    repeats.resume(out, on_event=quiet)  # how often is written changes no number
    (out / "run.toml").write_text(text.replace("seed = ", "seed = 7"))
    with pytest.raises(ResumeError, match=r"is finished, and its run.toml was changed afterwards \(seed\)"):
        repeats.resume(out, on_event=quiet)
    assert repeats.resume(out, on_event=quiet, accept_change=True).finished
