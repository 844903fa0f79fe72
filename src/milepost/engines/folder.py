"""The folder of a run: one process at a time, no forests but those of steps that are done."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from milepost.engines import plan
from milepost.errors import ResumeError

LOCK = ".lock"
_BEFORE_THE_MANIFEST = ("run.toml", LOCK)
"""What a run that was killed before it began may leave behind."""


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something.

    Args:
        folder: where a run is to be written; what a run killed before its manifest was written leaves may stay.

    Raises:
        ResumeError: it holds a run, or other files.
    """
    if (folder / plan.NAME).is_file():
        raise ResumeError(f"{folder} holds a run: continue with `milepost resume {folder}`, or change --out.")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    other = [name for name in names if name not in _BEFORE_THE_MANIFEST and not name.endswith(".draft")]
    if other or (folder.exists() and not folder.is_dir()):
        raise ResumeError(f"{folder} is not an empty folder ({', '.join(other[:3])}): choose another --out.")


def begin(folder: Path, chosen: Mapping[str, Any]) -> None:
    """Make the folder of a job that is done in one go, and keep what was chosen as run.toml.

    Args:
        folder: it must not exist or be empty.
        chosen: recipe, seed and settings.

    Raises:
        ResumeError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ResumeError(
            f"{folder} is not empty, and a search or experiment is not continued: choose another --out, or delete it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.toml").write_text(tomli_w.dumps(chosen), encoding="utf-8")


@contextmanager
def exclusive(folder: Path) -> Generator[None]:
    """Hold the run's lock; the system releases it when the process ends, however it ends.

    Args:
        folder: the run's folder.

    Returns:
        A context in which the lock is held.

    Raises:
        ResumeError: another process works on the run.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResumeError(f"Another process works on {folder}: wait for it, or stop it first.") from error
        yield
    finally:
        os.close(descriptor)


def forest(folder: Path, step: int) -> Path:
    """Folder of the forest that step number `step` (from 1) was trained on."""
    return folder / "forests" / f"step-{step:06d}"


def keep_forests(folder: Path, *, latest: int, step: int) -> None:
    """Remove forests that are too old, and those of steps after `step`, which a resumed run makes again.

    Args:
        folder: the run's folder.
        latest: how many to keep; 0 keeps all.
        step: steps done.
    """
    first = step - latest + 1 if latest else 1
    for path in sorted((folder / "forests").glob("step-*")):
        if not first <= int(path.name.removeprefix("step-")) <= step:
            shutil.rmtree(path)
