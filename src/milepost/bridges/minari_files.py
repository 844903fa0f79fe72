"""Forests of control as data sets of Minari, in its HDF5 form: what Minari and its users open as they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch

from milepost.bridges.minari import episodes
from milepost.columns import End
from milepost.errors import FormatError, ResumeError
from milepost.forest import Forest
from milepost.optional import load
from milepost.traces.record import Fault

VERSION = "0.5.4"
"""Release of Minari whose format is written."""


def write(forest: Forest, path: Path, *, name: str, low: Sequence[float], high: Sequence[float]) -> None:
    """Write trajectories as a data set; each is one episode, and all its actions are known.

    Args:
        forest: flat trajectories with `observation`, `action`, `reward.outcome` and `end`.
        path: folder to make, such as "sets/pendulum/mixed-v0"; Minari finds it as "pendulum/mixed-v0" below "sets".
        name: id of the data set in Minari's form, such as "pendulum/mixed-v0".
        low: smallest value of each number of an action.
        high: largest value.

    Raises:
        ResumeError: the folder exists.
        FormatError: a trajectory branches, or an action is missing.
        MissingExtra: h5py is not installed.
    """
    if path.exists():
        raise ResumeError(f"{path} exists: choose another folder, or remove it.")
    children = torch.bincount(forest.parent[forest.parent >= 0], minlength=len(forest))
    moved = forest.parent >= 0
    if bool((children > 1).any()) or not bool(forest.valid("action")[moved].all()):
        raise FormatError("Minari holds whole episodes: a trajectory here branches, or lacks an action.")
    h5py = cast("Any", load("h5py", extra="control", purpose="Writing Minari's HDF5 data sets"))
    data = path / "data"
    data.mkdir(parents=True)
    paths = forest.paths()
    bounds = paths.offsets.tolist()
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for number, (start, stop) in enumerate(pairwise(bounds)):
            _episode(file.create_group(f"episode_{number}"), forest, paths.values[start:stop], number)
    steps = int(moved.sum())
    (data / "metadata.json").write_text(
        json.dumps(_described(forest, name, (low, high), len(bounds) - 1, steps), indent=1), encoding="utf-8"
    )
    (path / "namespace_metadata.json").write_text("{}", encoding="utf-8")


def _episode(group: Any, forest: Forest, rows: torch.Tensor, number: int) -> None:
    taken = rows[1:]
    end = forest["end"][taken]
    group.attrs["id"], group.attrs["total_steps"], group.attrs["seed"] = number, len(taken), number
    columns = {
        "observations": forest["observation"][rows],
        "actions": forest["action"][taken],
        "rewards": forest["reward.outcome"][taken].double(),
        "terminations": end == int(End.TERMINATED),
        "truncations": (end != int(End.TERMINATED)) & (end != int(End.OPEN)),
    }
    for name, value in columns.items():
        group.create_dataset(name, data=value.numpy())


def _described(
    forest: Forest, name: str, bounds: tuple[Sequence[float], Sequence[float]], episodes: int, steps: int
) -> dict[str, Any]:
    shape = list(forest["observation"].shape[1:])
    unbounded = {"low": np.full(shape, -np.inf).tolist(), "high": np.full(shape, np.inf).tolist()}
    return {
        "dataset_id": name,
        "data_format": "hdf5",
        "minari_version": VERSION,
        "total_episodes": episodes,
        "total_steps": steps,
        "dataset_size": 0.0,
        "author": ["milepost"],
        "algorithm_name": "recorded by milepost",
        "description": "Episodes of mixed behaviour.",
        "action_space": _space(list(forest["action"].shape[1:]), *bounds, str(forest["action"].dtype)),
        "observation_space": _space(shape, unbounded["low"], unbounded["high"], str(forest["observation"].dtype)),
    }


def _space(shape: Sequence[int], low: Sequence[Any], high: Sequence[Any], dtype: str) -> str:
    """A space as Minari writes it: JSON in a string."""
    kind = dtype.removeprefix("torch.")
    return json.dumps({"type": "Box", "dtype": kind, "shape": shape, "low": list(low), "high": list(high)})


class Bounded(Protocol):
    """Knows the actions of tasks."""

    def bounds(self, task: str) -> tuple[Sequence[float], Sequence[float]]:
        """Smallest and largest value of each number of an action."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Records a task, writes the episodes as a data set of Minari, and reads them back from it.

    What is learned from is what any user of Minari would read.
    """

    record: Callable[[str, int], Forest]
    """Task and key to episodes."""
    arena: Bounded
    folder: str = ""
    """Where data sets are kept and found again; empty: nothing is kept."""

    def __call__(self, task: str, key: int) -> Forest:
        """Episodes of a task.

        Raises:
            FormatError: a kept data set is damaged.
            MissingExtra: h5py is not installed.
        """
        with tempfile.TemporaryDirectory() as fresh:
            path = Path(self.folder or fresh) / task / f"milepost{key & 0xFFFFFFFF:08x}-v0"
            if not path.exists():
                low, high = self.arena.bounds(task)
                write(self.record(task, key), path, name=f"{task}/{path.name}", low=low, high=high)
            found = list(episodes(path))
        faults = [one for one in found if isinstance(one, Fault)]
        if faults:
            raise FormatError(f"The data set {path} is damaged: {faults[0].reason}. Remove it to record again.")
        return Forest.concatenate([one for one in found if isinstance(one, Forest)])
