"""Whatever stops a writer, a reader sees the forest before or the forest after, whole."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections import Counter

import pytest
import torch

from milepost import storage
from milepost.testing.forests import batch, difference


def test_killed_at_every_boundary(tmp_path):
    command = [sys.executable, "-m", "tests.killed_writer", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=250)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    seen = Counter((row["fresh"], row["seen"]) for row in rows)
    assert set(seen) == {(False, "old"), (False, "new"), (True, "nothing"), (True, "new")}, seen
    assert all(row["clean"] for row in rows), "a later write does not tidy up after a killed one"
    assert all(row["seen"] == "new" for row in rows if row["done"])
    assert min(seen.values()) >= 3
    assert sum(row["middle"] for row in rows) >= 6


class Broken:
    """A call of `os` that fails from the k-th time on."""

    def __init__(self, name: str, at: int, code: int) -> None:
        self.real, self.left, self.code = getattr(os, name), at, code

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left <= 0:
            raise OSError(self.code, os.strerror(self.code))
        return self.real(*args, **kwargs)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_disk_full(call, at, tmp_path, monkeypatch):
    old, new = (batch(key=key).with_columns({"latent": torch.ones(37, 2) * key}) for key in (1, 2))
    storage.write(old, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, Broken(call, at, errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            storage.write(new, tmp_path)
    assert difference(storage.read(tmp_path), old) is None
    assert len(list(tmp_path.iterdir())) == 3, "something is left behind"


def test_read_only_folder(tmp_path, monkeypatch):
    old = batch(key=1)
    storage.write(old, tmp_path)
    real = os.open

    def refuse(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Read-only"):
        storage.write(batch(key=2), tmp_path)
    assert difference(storage.read(tmp_path), old) is None


def test_the_disk_is_asked_to_keep_data_before_the_manifest_names_it(tmp_path, monkeypatch):
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(file):
        calls.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    def replaced(draft, path):
        calls.append(f"replace {path.suffix}")
        replace(draft, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    storage.write(batch(), tmp_path)
    data = ["file", "replace .parquet", "file", "replace .safetensors"]
    assert calls == [*data, "folder", "file", "replace .json", "folder"]


def test_readers_beside_a_writer_see_whole_forests(tmp_path):
    forests = [batch(key=key) for key in (1, 2)]
    storage.write(forests[0], tmp_path)
    stop, seen = threading.Event(), Counter()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            storage.write(forests[turn % 2], tmp_path)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(150):
            found = storage.read(tmp_path)
            seen[next(place for place, one in enumerate(forests) if difference(found, one) is None)] += 1
    finally:
        stop.set()
        writer.join()
    assert set(seen) == {0, 1}
