"""Small stored forests, and a reward slow enough to be killed in the middle; workers import this module."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from milepost import storage
from milepost.columns import End
from milepost.forest import Forest


def letters(completions, wait=None, **columns):
    """Share of the letter "a"; a text of a "!" cannot be read."""
    for place in wait or []:
        if place:
            Path(place, f"{time.monotonic_ns()}.{os.getpid()}").touch()
            time.sleep(0.05)
    if "!" in "".join(completions):
        raise ValueError("an answer cannot be read")
    return [text.count("a") / len(text) for text in completions]


def forest(trees: int, first: int = 0, wait: str = "") -> Forest:
    """Trees of three answers, rows interleaved: roots first, then the answers of all."""
    rows = [("?", -1)] * trees + [(f"{'abc'[(n + k) % 3]}{'b' * k}", n) for k in range(3) for n in range(trees)]
    if trees > 4:
        rows[trees + 4] = ("!", rows[trees + 4][1])
    said = [text for text, _ in rows]
    record = json.dumps({"prompt": "?", "wait": wait})
    return Forest.of(
        [parent for _, parent in rows],
        {
            "task": [f"t:{first + n}" if parent < 0 else None for n, (_, parent) in enumerate(rows)],
            "record": [record if parent < 0 else None for _, parent in rows],
            "text": said,
            "end": [int(End.OPEN) if parent < 0 else int(End.TERMINATED) for _, parent in rows],
            "reward.old": [None if parent < 0 else float(len(text)) for text, parent in rows],
            "advantage": [0.5] * len(rows),
        },
    )


def run(folder: Path, sizes: list[int], wait: str = "") -> Path:
    """A run of forests of these many trees."""
    for step, size in enumerate(sizes, 1):
        storage.write(forest(size, first=1000 * step, wait=wait), folder / "forests" / f"step-{step:06d}")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_later(marks: Path, timeout_s: float = 60.0) -> threading.Thread:
    """Kill the process that leaves the next mark but two, in a thread; it was killed when the thread has ended."""
    known = set(marks.iterdir())

    def watch() -> None:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            fresh = sorted(set(marks.iterdir()) - known)
            if len(fresh) > 2:
                os.kill(int(fresh[-1].suffix[1:]), signal.SIGKILL)
                return
            time.sleep(0.005)
        raise TimeoutError("nobody worked")

    thread = threading.Thread(target=watch)
    thread.start()
    return thread
