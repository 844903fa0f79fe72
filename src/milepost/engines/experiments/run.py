"""The engine of experiments: every task and repeat is measured; numbers, scenes, forests and settings on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from milepost import keys, recipe, storage
from milepost.engines import folder
from milepost.errors import FormatError, SettingError
from milepost.recipe import Evaluate

FILE = "measured.json"
"""What a finished experiment is recognised by."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: a task and a repeat."""

    task: str
    repeat: int
    numbers: Mapping[str, Mapping[str, float | None]]
    """Arm to quantity to number; None where it could not be had."""
    scene: Mapping[str, Any]
    """What a report shows beside the numbers."""


def job(name: str, settings: Mapping[str, Any]) -> Evaluate:
    """Build a recipe that measures.

    Args:
        name: the recipe.
        settings: keyword arguments of its `build`.

    Returns:
        The job.

    Raises:
        UnknownName: no such recipe or setting.
        SettingError: a setting has the wrong type, or the recipe does another job.
    """
    found = recipe.built(name, settings)
    if not isinstance(found, Evaluate):
        raise SettingError(f"Recipe {name!r} does not measure: its job is {type(found).__name__}.")
    return found


def run(
    name: str, settings: Mapping[str, Any], out: Path, *, seed: int = 0, tell: Callable[[Row], None] | None = None
) -> tuple[Row, ...]:
    """Measure every task; the draws of a task and repeat do not depend on the others.

    Args:
        name: the recipe.
        settings: keyword arguments of its `build`.
        out: folder to write; it must not exist or be empty.
        seed: every random draw follows from it.
        tell: called with each measurement.

    Returns:
        The measurements, in the order of repeats, tasks: after a stop every task has been measured about as often.

    Raises:
        UnknownName: no such recipe, setting or task.
        SettingError: a setting is wrong, or the recipe does another job.
        ResumeError: the folder is not empty.
    """
    work = job(name, settings)
    folder.begin(out, {"recipe": name, "seed": seed, "settings": dict(settings)})
    found: list[Row] = []
    for repeat in range(work.repeats):
        for task in work.tasks:
            one = work.experiment(task, keys.fold(keys.root(seed), "experiment", task, repeat))
            for label, forest in one.forests.items() if repeat == 0 else ():
                storage.write(forest, out / "forests" / f"{task}.{label}")
            numbers = {arm: {name: _known(n) for name, n in own.items()} for arm, own in one.numbers.items()}
            found.append(Row(task=task, repeat=repeat, numbers=numbers, scene=one.scene))
            if tell is not None:
                tell(found[-1])
    text = json.dumps({"schema": 1, "recipe": name, "seed": seed, "rows": [asdict(one) for one in found]})
    (out / FILE).write_text(text, encoding="utf-8")
    return tuple(found)


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def is_experiment(folder: Path) -> bool:
    """Whether a folder is that of a finished experiment."""
    return (folder / FILE).is_file()


def read(out: Path) -> tuple[Row, ...]:
    """Read the measurements of a finished experiment.

    Args:
        out: its folder.

    Returns:
        The measurements.

    Raises:
        FormatError: the folder holds none, or they are damaged.
    """
    try:
        record: Any = json.loads((out / FILE).read_text(encoding="utf-8"))
        return tuple(Row(**one) for one in cast("list[dict[str, Any]]", record["rows"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{out} holds no measurements of an experiment that can be read: {error!r}.") from error
