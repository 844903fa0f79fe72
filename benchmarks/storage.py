"""Storage speed and size: 100,000 trajectories of 8 steps, against plain Parquet and JSON lines.

Plain Parquet is the same table written and read by pyarrow alone, with no digest, no check, no flush to the disk and no
forest made of it. JSON lines are measured on a sample and scaled up, because the whole takes minutes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from benchmarks.credit import Work, best, row
from milepost import keys, storage, tables
from milepost.forest import Forest
from milepost.ragged import Ragged, offsets_of

KEY = keys.root(2026)
TRAJECTORIES, STEPS, SAMPLE = 100_000, 8, 2_000


def forest(trajectories: int) -> Forest:
    """Roots and steps with 25 to 40 tokens each, log-probabilities, rewards and credit.

    Args:
        trajectories: number of trajectories, each of `STEPS` steps below its own root.

    Returns:
        The forest, level by level.
    """
    draws = keys.generator(KEY)
    rows = trajectories * (STEPS + 1)
    lengths = torch.from_numpy(draws.integers(25, 41, rows))
    offsets = offsets_of(lengths)
    size = int(offsets[-1])
    chosen = torch.repeat_interleave(torch.arange(rows) >= trajectories, lengths)
    log_prob = torch.from_numpy(-draws.exponential(size=size)).float().where(chosen, 0)
    columns: dict[str, Any] = {
        "tokens.id": Ragged(torch.from_numpy(draws.integers(0, 50_000, size).astype(np.int32)), offsets),
        "tokens.train": Ragged(chosen, offsets),
        "tokens.log_prob": Ragged(log_prob, offsets),
        "reward.total": torch.from_numpy(draws.random(rows)).float(),
        "ok.total": torch.ones(rows, dtype=torch.bool),
        "advantage": torch.from_numpy(draws.standard_normal(rows)).float(),
    }
    return Forest.of((torch.arange(rows) - trajectories).clamp(min=-1), columns)


def size_of(folder: Path) -> float:
    """Megabytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def write_lines(one: Forest, path: Path) -> None:
    """One JSON object per step."""
    table = tables.take_apart(one).table
    path.write_text("".join(json.dumps(step) + "\n" for step in table.to_pylist()), encoding="utf-8")


def read_lines(path: Path) -> list[Any]:
    """The objects of a file of JSON lines."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def run() -> list[dict[str, Any]]:
    """Measure writing, reading and size.

    Returns:
        One row per comparison.
    """
    base = Path(tempfile.mkdtemp(prefix="milepost-benchmark-"))
    try:
        return _measured(base, forest(TRAJECTORIES), forest(SAMPLE))
    finally:
        shutil.rmtree(base)


def _measured(base: Path, whole: Forest, sample: Forest) -> list[dict[str, Any]]:
    table, scale = tables.take_apart(whole).table, TRAJECTORIES / SAMPLE
    ours, plain, lines, hot = base / "ours", base / "plain.parquet", base / "sample.jsonl", base / "hot.arrow"
    writes: dict[str, Work] = {
        "ours": lambda: storage.write(whole, ours),
        "plain Parquet": lambda: pq.write_table(table, plain, compression="zstd"),
        "ours, Arrow IPC": lambda: tables.write_ipc(whole, hot),
    }
    reads: dict[str, Work] = {
        "ours": lambda: storage.read(ours),
        "ours, table only": lambda: storage.read_table(ours),
        "plain Parquet": lambda: pq.read_table(plain),
        "ours, Arrow IPC": lambda: tables.read_ipc(hot),
    }
    rows: list[dict[str, Any]] = []
    for verb, works, slow in (
        ("write", writes, lambda: write_lines(sample, lines)),
        ("read", reads, lambda: read_lines(lines)),
    ):
        found = best(works, 3)
        scaled = best({"JSON lines": slow}, 1)["JSON lines"] * scale
        case = f"{verb} {TRAJECTORIES} trajectories of {STEPS} steps"
        rows.append(row(f"{case}, against plain Parquet", found["ours"], found["plain Parquet"]))
        rows += [
            row(f"{case}, {name.removeprefix('ours, ')}, against plain Parquet", found[name], found["plain Parquet"])
            for name in found
            if name.startswith("ours, ")
        ]
        rows.append(row(f"{case}, against JSON lines (from {SAMPLE})", found["ours"], scaled))
    rows.append(row("size, against plain Parquet", size_of(ours), plain.stat().st_size / 1e6, "MB"))
    rows.append(row("size, against JSON lines", size_of(ours), lines.stat().st_size / 1e6 * scale, "MB"))
    return rows
