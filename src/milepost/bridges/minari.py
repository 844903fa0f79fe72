"""Data sets of Minari: each episode as a tree without branches, read one at a time.

Both of its stores are read: Arrow, and HDF5 where `h5py` is installed. Spaces must be arrays or numbers; those of
mappings, tuples, texts and graphs are faults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from pyarrow import ipc

from milepost.columns import End, Origin
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.optional import load
from milepost.traces.record import Fault

_FIELDS = ("observations", "actions", "rewards", "terminations", "truncations")


def episodes(path: Path) -> Iterator[Forest | Fault]:
    """Read the episodes of a data set.

    Args:
        path: folder of the data set, or its folder "data".

    Yields:
        Each episode: a root with the first observation, then one row per step with `action`, the `observation` arrived
        at, `reward.outcome`, `end` and `discount`. What is wrong with an episode, otherwise.

    Raises:
        FormatError: there is no data set at this place.
        MissingExtra: the data set is HDF5, and h5py is not installed.
    """
    data = path / "data" if (path / "data").is_dir() else path
    try:
        described: dict[str, Any] = json.loads((data / "metadata.json").read_bytes())
        name = str(described.get("dataset_id", path.name))
    except (OSError, ValueError, AttributeError) as error:
        raise FormatError(f"{path} is no Minari data set: its data/metadata.json cannot be read: {error}.") from error
    source = _hdf5(data) if (data / "main_data.hdf5").is_file() else _arrow(data)
    for number, found in source:
        if isinstance(found, str):
            yield Fault(file=name, line=number + 1, reason=found)
            continue
        try:
            yield _forest(found, name, number)
        except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
            yield Fault(
                file=name, line=number + 1, reason=f"the episode cannot be read: {type(error).__name__}: {error}"
            )


def _arrow(data: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    folders = sorted((one for one in data.iterdir() if one.name.isdigit()), key=lambda one: int(one.name))
    for folder in folders:
        try:
            tables = [ipc.open_file(pa.OSFile(str(file))).read_all() for file in sorted(folder.glob("*.arrow"))]
            table = pa.concat_tables(tables)
            table.validate(full=True)
            found = {name: _array(table.column(name).combine_chunks()) for name in _FIELDS}
            steps = len(found["rewards"]) - 1  # the last row is padding, but for the observation
            yield int(folder.name), {n: one if n == "observations" else one[:steps] for n, one in found.items()}
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            yield int(folder.name), f"the episode cannot be read: {error}"


def _array(column: pa.Array) -> Any:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        inner = _array(column.flatten())
        return inner.reshape(len(column), kind.list_size, *inner.shape[1:])
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"a space of type {kind} is not read, only arrays and numbers")
    return column.to_numpy(zero_copy_only=False)


def _hdf5(data: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    h5py = cast("Any", load("h5py", extra="control", purpose="Reading Minari's HDF5 data sets"))
    try:
        file = h5py.File(data / "main_data.hdf5", "r")
    except OSError as error:
        yield 0, f"no HDF5 file, or damaged: {error}"
        return
    with file:
        names = sorted((n for n in file if n.startswith("episode_") and n[8:].isdigit()), key=lambda n: int(n[8:]))
        for name in names:
            try:
                yield int(name[8:]), {one: np.asarray(_dataset(h5py, file[name][one], one)) for one in _FIELDS}
            except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
                yield int(name[8:]), f"the episode cannot be read: {error}"


def _dataset(h5py: Any, found: Any, name: str) -> Any:
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name} is of a space that is not read, only arrays and numbers")
    return found[()]


def _forest(found: Mapping[str, Any], name: str, number: int) -> Forest:
    steps = len(found["rewards"])
    if len(found["observations"]) != steps + 1 or len(found["actions"]) != steps:
        raise ValueError(f"{steps} rewards with {len(found['observations'])} observations, expected {steps + 1}")
    over, cut = (np.asarray(found[n]).astype(bool) for n in ("terminations", "truncations"))
    observation, action = (torch.from_numpy(np.array(found[n])) for n in ("observations", "actions"))
    ends = [
        int(End.TERMINATED if one else End.TIME_LIMIT if two else End.OPEN) for one, two in zip(over, cut, strict=True)
    ]
    first = torch.zeros((1, *action.shape[1:]), dtype=action.dtype)
    taken = torch.arange(steps + 1) > 0
    reward = torch.from_numpy(np.array(found["rewards"], dtype=np.float32))
    forest = Forest.of(
        list(range(-1, steps)),
        {
            "task": [f"{name}:{number}", *[None] * steps],
            "draw": [0, *[None] * steps],
            "origin": [int(Origin.ENVIRONMENT), *[int(Origin.DEMONSTRATION)] * steps],
            "observation": observation,
            "action": torch.cat((first, action)),
            "end": [int(End.OPEN), *ends],
            "discount": [1.0, *[0.0 if one else 1.0 for one in over.tolist()]],
            "ok.outcome": taken,
            "reward.outcome": torch.cat((torch.zeros(1), reward)),
        },
    )
    return forest.with_valid("action", taken).with_valid("reward.outcome", taken)
