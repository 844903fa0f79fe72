"""The two passes over files: pieces side by side in processes, then the selection."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from milepost import checks
from milepost.bridges import formats
from milepost.curation.selection.rules import Selection
from milepost.engines.triage.scan import Piece, Scanned, pieces, scan
from milepost.engines.triage.select import Chosen, select
from milepost.errors import FormatError, SettingError

ENDINGS = (".jsonl", ".json", ".eval", ".ndjson", ".parquet")
"""Files that are taken from a folder."""
FAST_BYTES = 64 << 20
"""Size of all files from which machine code is worth its start."""


@dataclass(frozen=True, kw_only=True)
class Triage:
    """What is done with files of conversations."""

    selection: Selection = field(default_factory=Selection)
    alike: float = 0.8
    """Resemblance from which a conversation is a near duplicate of an earlier one; above 1: none is."""
    workers: int = 1
    """Processes; the result does not depend on them."""
    piece_bytes: int = 64 << 20
    """About how much of a file of lines one process reads at a time."""

    def __post_init__(self) -> None:
        """Check the settings."""
        checks.positive("alike", self.alike)
        checks.at_least("workers", self.workers, 1)
        checks.at_least("piece_bytes", self.piece_bytes, 1)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a triage found."""

    chosen: Chosen
    files: int
    formats: tuple[str, ...]
    faults: int


def files_of(source: Path) -> list[Path]:
    """Files of conversations at a place: the file itself, or those below a folder, by path.

    Args:
        source: a file or a folder.

    Returns:
        The files.

    Raises:
        SettingError: there are none.
    """
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix in ENDINGS)
    if not found:
        raise SettingError(f"{source} holds no traces: expected a file, or a folder with {', '.join(ENDINGS)}.")
    return found


Scanning = Callable[[Sequence[Piece]], Iterator[Scanned]]
"""Scans pieces side by side, and says what each held, in order."""


def triage(
    source: Path,
    folder: Path,
    settings: Triage,
    *,
    form: str = "",
    tell: Callable[[int], None],
    scanning: Scanning | None = None,
) -> Done:
    """Find signals, near duplicates and a selection; the traces themselves are only read.

    Args:
        source: a file or a folder of conversations.
        folder: where the tables go; it must not exist.
        settings: what is done.
        form: format of all files; "" recognises that of each.
        tell: called with the number of conversations read, after each piece.
        scanning: who reads the pieces; None: processes of this machine.

    Returns:
        Counts; the rows are in `traces.parquet`, `signals.parquet` and `faults.parquet`.

    Raises:
        SettingError: there is nothing to read, or the folder exists.
        FormatError: the format of a file that was given alone cannot be recognised.
        OSError: a file cannot be read or written.
    """
    if folder.exists():
        raise SettingError(f"{folder} exists already, and nothing is overwritten: choose another folder.")
    paths = files_of(source)
    named = {path: form or _recognised(path, alone=source.is_file()) for path in paths}
    for name in ("traces", "signals", "faults"):
        (folder / name).mkdir(parents=True)
    fast = sum(path.stat().st_size for path in paths) >= FAST_BYTES
    work: list[Piece] = []
    for path in paths:
        name = path.name if source.is_file() else path.relative_to(source).as_posix()
        found = named[path]
        ranges = [(0, 0)] if isinstance(found, _Unknown) else pieces(path, found, size=settings.piece_bytes)
        for start, stop in ranges:
            what: Any = {"reason": found.reason} if isinstance(found, _Unknown) else {"format": found}
            place: Any = {"path": str(path), "name": name, "start": start, "stop": stop, "fast": fast}
            work.append(Piece(number=len(work), out=str(folder), **what, **place))
    scanned: list[tuple[str, Scanned]] = []
    read = 0
    found = _scanned(work, settings.workers) if scanning is None else scanning(work)
    for piece, one in zip(work, found, strict=True):
        scanned.append((piece.name, one))
        read += one.traces
        tell(read)
    chosen = select(folder, scanned, settings.selection, alike=settings.alike)
    faults = sum(one.faults for _, one in scanned)
    known = {found for found in named.values() if isinstance(found, str)}
    return Done(chosen=chosen, files=len(paths), formats=tuple(sorted(known)), faults=faults)


@dataclass(frozen=True)
class _Unknown:
    reason: str


def _recognised(path: Path, *, alone: bool) -> str | _Unknown:
    """Format of a file; of one among others, which must not stop the rest, why it has none."""
    try:
        return formats.detect(path)
    except FormatError as error:
        if alone:
            raise
        return _Unknown(str(error))


def _scanned(work: Sequence[Piece], workers: int) -> Iterator[Scanned]:
    if workers == 1 or len(work) == 1:
        yield from map(scan, work)
        return
    # Arrow has threads: a fresh interpreter is safe where a forked one is not
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(work)), mp_context=context) as pool:
        yield from pool.map(scan, work)
