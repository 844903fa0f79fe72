"""The folder of a run: what may begin in it, who may work in it, and which forests stay."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from milepost.engines import folder
from milepost.errors import ResumeError


def test_what_a_run_leaves_that_never_began_may_stay(tmp_path: Path) -> None:
    folder.check_free(tmp_path / "nothing")
    folder.check_free(tmp_path)
    for name in ("run.toml", folder.LOCK, "manifest.json.draft"):
        (tmp_path / name).touch()
    folder.check_free(tmp_path)


def test_a_run_and_strangers_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ResumeError, match=r"notes\.txt"):
        folder.check_free(tmp_path)
    (tmp_path / "manifest.json").touch()
    with pytest.raises(ResumeError, match="milepost resume"):
        folder.check_free(tmp_path)


def test_one_at_a_time(tmp_path: Path) -> None:
    with folder.exclusive(tmp_path), pytest.raises(ResumeError, match="Another process"), folder.exclusive(tmp_path):
        pass
    with folder.exclusive(tmp_path):
        pass


@pytest.mark.parametrize(("latest", "step", "kept"), [(0, 5, [1, 2, 3, 4, 5]), (2, 5, [4, 5]), (0, 3, [1, 2, 3])])
def test_old_forests_and_those_to_be_made_again_go(tmp_path: Path, latest: int, step: int, kept: list[int]) -> None:
    for number in range(1, 7):
        folder.forest(tmp_path, number).mkdir(parents=True)
    folder.keep_forests(tmp_path, latest=latest, step=step)
    assert sorted(int(path.name[-6:]) for path in (tmp_path / "forests").iterdir()) == kept


def test_what_is_done_in_one_go_begins_in_an_empty_folder_only(tmp_path: Path) -> None:
    folder.begin(tmp_path / "new", {"recipe": "signals", "seed": 3, "settings": {"budget": 2}})
    kept = tomllib.loads((tmp_path / "new" / "run.toml").read_text())
    assert kept == {"recipe": "signals", "seed": 3, "settings": {"budget": 2}}
    with pytest.raises(ResumeError, match="is not continued: choose another --out"):
        folder.begin(tmp_path / "new", kept)
