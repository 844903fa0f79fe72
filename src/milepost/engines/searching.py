"""The engine of searches: every task with every seeker, on the same keys; forests, outcomes and settings on disk."""

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
from milepost.recipe import Search

FILE = "outcomes.json"
"""What a finished search is recognised by."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one search came to."""

    task: str
    seeker: str
    repeat: int
    cost: float | None
    """None where nothing was found."""
    steps: int
    """Rows of the forest."""
    progress: tuple[tuple[int, float], ...]
    scene: Mapping[str, Any]


def job(name: str, settings: Mapping[str, Any]) -> Search:
    """Build a recipe that searches.

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
    if not isinstance(found, Search):
        raise SettingError(f"Recipe {name!r} does not search: its job is {type(found).__name__}.")
    return found


def run(
    name: str, settings: Mapping[str, Any], out: Path, *, seed: int = 0, tell: Callable[[Outcome], None] | None = None
) -> tuple[Outcome, ...]:
    """Search every task with every seeker; a seeker's draws for a task do not depend on the others.

    Args:
        name: the recipe.
        settings: keyword arguments of its `build`.
        out: folder to write; it must not exist or be empty.
        seed: every random draw follows from it.
        tell: called with each outcome.

    Returns:
        The outcomes, in the order of tasks, repeats, seekers.

    Raises:
        UnknownName: no such recipe, setting or task.
        SettingError: a setting is wrong, or the recipe does another job.
        ResumeError: the folder is not empty.
    """
    work = job(name, settings)
    folder.begin(out, {"recipe": name, "seed": seed, "settings": dict(settings)})
    found: list[Outcome] = []
    for task in work.tasks:
        for repeat in range(work.repeats):
            key = keys.fold(keys.root(seed), "search", task, repeat)
            for seeker, part in work.seekers.items():
                one = part(task, key)
                if repeat == 0:
                    storage.write(one.forest, out / "forests" / f"{task}.{len(found)}")
                found.append(
                    Outcome(
                        task=task, seeker=seeker, repeat=repeat, cost=one.cost if math.isfinite(one.cost) else None,
                        steps=len(one.forest), progress=one.progress, scene=one.scene,
                    )
                )  # fmt: skip
                if tell is not None:
                    tell(found[-1])
    text = json.dumps({"schema": 1, "recipe": name, "seed": seed, "outcomes": [asdict(one) for one in found]})
    (out / FILE).write_text(text, encoding="utf-8")
    return tuple(found)


def is_search(folder: Path) -> bool:
    """Whether a folder is that of a finished search."""
    return (folder / FILE).is_file()


def read(out: Path) -> tuple[Outcome, ...]:
    """Read the outcomes of a finished search.

    Args:
        out: its folder.

    Returns:
        The outcomes.

    Raises:
        FormatError: the folder holds none, or they are damaged.
    """
    try:
        record: Any = json.loads((out / FILE).read_text(encoding="utf-8"))
        return tuple(_outcome(one) for one in cast("list[dict[str, Any]]", record["outcomes"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{out} holds no outcomes of a search that can be read: {error!r}.") from error


def _outcome(one: dict[str, Any]) -> Outcome:
    progress = tuple((int(work), float(cost)) for work, cost in one.pop("progress"))
    return Outcome(**one, progress=progress)
