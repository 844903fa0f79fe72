"""Child process of the kill test: replaces a stored forest, each time killed at another call of the system.

For every boundary it forks; the fork writes and dies by SIGKILL before the k-th call, or in the middle of the k-th
write; the parent then reads what is left and prints one JSON line.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")


class Counted:
    """A call of `os` that kills the process at the chosen count."""

    def __init__(self, name: str, counter: list[int], at: int, *, middle: bool) -> None:
        self.real, self.counter, self.at, self.middle = getattr(os, name), counter, at, middle

    def __call__(self, *args, **kwargs):
        self.counter[0] += 1
        if self.counter[0] == self.at:
            if self.middle:
                self.real(args[0], bytes(args[1])[: max(1, len(args[1]) // 2)])
            os.kill(os.getpid(), signal.SIGKILL)
        return self.real(*args, **kwargs)


def attempt(folder: Path, forest, at: int, *, middle: bool) -> bool:
    """Whether the write ran to its end, in a fork that is killed at call number `at`."""
    from milepost import storage

    child = os.fork()
    if child == 0:
        counter = [0]
        for name in ("write",) if middle else CALLS:
            setattr(os, name, Counted(name, counter, at, middle=middle))
        storage.write(forest, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL, status
    return os.WIFEXITED(status)


def main(base: Path) -> None:
    import pyarrow as pa
    import torch

    from milepost import storage
    from milepost.errors import FormatError
    from milepost.testing.forests import batch, difference

    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    old, new = (batch(key=key) for key in (1, 2))
    old, new = (one.with_columns({"latent": torch.ones(len(one), 2, 2) * float(one["key"][0])}) for one in (old, new))
    storage.write(old, base / "warm")
    for fresh in (False, True):
        for middle in (False, True):
            at, done = 1, False
            while not done:
                folder = base / f"{middle}-{fresh}-{at}"
                if not fresh:
                    storage.write(old, folder)
                done = attempt(folder, new, at, middle=middle)
                try:
                    found = storage.read(folder)
                    known = {"new": difference(found, new), "old": difference(found, old)}
                    seen = next((name for name, off in known.items() if off is None), "torn")
                except FormatError as error:
                    seen = "nothing" if "holds no forest" in str(error) else f"torn: {error}"
                storage.write(new, folder)
                left = sorted(path.name for path in folder.iterdir())
                clean = len(left) == 3 and difference(storage.read(folder), new) is None
                print(
                    json.dumps({"fresh": fresh, "middle": middle, "at": at, "done": done, "seen": seen, "clean": clean})
                )
                shutil.rmtree(folder)
                at += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
