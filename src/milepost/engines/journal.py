"""Metrics of a run as JSON lines that a resumed run continues to the byte, and mirrors of them in other trackers."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from milepost import optional
from milepost.errors import ResumeError, unknown_name

FILES = ("metrics.jsonl", "evaluation.jsonl")
TIMES = "timings.jsonl"
"""Not part of what a resumed run repeats to the byte."""


class Mirror(Protocol):
    """A tracker that is told the metrics too."""

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Write the numbers of a step."""
        ...


@dataclass(kw_only=True)
class Journal:
    """Appends lines to the run's files, and knows their lengths, so that a resumed run can cut what came after."""

    folder: Path
    mirrors: list[Mirror] = field(default_factory=list["Mirror"])
    broken: list[str] = field(default_factory=list[str])
    """Mirrors that failed: a dead mirror never stops a run."""

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Append one record to a file of the run."""
        with (self.folder / name).open("ab") as file:
            file.write(json.dumps(_finite(record), sort_keys=True, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def mirror(self, numbers: Mapping[str, float], step: int) -> None:
        """Tell every mirror; one that raises is dropped and named in `broken`."""
        for mirror in list(self.mirrors):
            try:
                mirror.log(numbers, step)
            except Exception as error:  # noqa: BLE001 - whatever a tracker raises, the run goes on and says so
                self.mirrors.remove(mirror)
                self.broken.append(f"{type(mirror).__name__}: {error}")

    def lengths(self) -> dict[str, int]:
        """Bytes of each file, to be kept in the checkpoint."""
        return {name: (self.folder / name).stat().st_size for name in FILES if (self.folder / name).is_file()}

    def cut(self, lengths: Mapping[str, int], step: int) -> None:
        """Cut every file back to its length at the checkpoint, and the times to the steps done by then."""
        for name in FILES:
            path = self.folder / name
            length = lengths.get(name, 0)
            size = path.stat().st_size if path.is_file() else 0
            if size < length:
                raise ResumeError(
                    f"{path} has {size} bytes, fewer than the {length} at the checkpoint: it was changed."
                )
            if size > length:
                os.truncate(path, length)
        times = self.folder / TIMES
        if times.is_file():
            lines = times.read_bytes().splitlines(keepends=True)
            whole = [line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step]
            times.write_bytes(b"".join(whole))


def _finite(value: Any) -> Any:
    """The same with null in place of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in cast("Mapping[str, Any]", value).items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, kw_only=True)
class _TensorBoard:
    writer: Any

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


@dataclass(frozen=True, kw_only=True)
class _Trackio:
    run: Any

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        self.run.log(dict(numbers), step=step)


def mirrors(names: Sequence[str], folder: Path) -> list[Mirror]:
    """Open trackers by name.

    Args:
        names: of "tensorboard", "trackio".
        folder: the run's folder; TensorBoard writes below it, trackio names its run after it.

    Returns:
        One mirror per name.

    Raises:
        UnknownName: no such tracker.
        MissingExtra: the tracker is not installed.
    """
    found: list[Mirror] = []
    for name in names:
        if name == "tensorboard":
            module = optional.load("torch.utils.tensorboard", extra="track", purpose="--track tensorboard")
            found.append(_TensorBoard(writer=module.SummaryWriter(str(folder / "tensorboard"))))
        elif name == "trackio":
            module = optional.load("trackio", extra="track", purpose="--track trackio")
            found.append(_Trackio(run=module.init(project="milepost", name=folder.name, embed=False)))
        else:
            raise unknown_name("tracker", name, ("tensorboard", "trackio"))
    return found
