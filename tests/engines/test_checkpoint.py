"""Checkpoints: what was written is read back to the bit, and a kill leaves the old or the new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from milepost.engines import checkpoint
from milepost.engines.checkpoint import Checkpoint
from milepost.errors import ResumeError

WRITER = """
import sys, torch
from pathlib import Path
from milepost.engines import checkpoint
folder = Path(sys.argv[1])
number = 0
while True:
    number += 1
    tensor = torch.full((200_000,), float(number))
    checkpoint.write(folder, checkpoint.Checkpoint(tensors={"w": tensor}, record={"number": number}))
    print(number, flush=True)
"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), "b": torch.tensor(7)}
    checkpoint.write(tmp_path, Checkpoint(tensors=tensors, record={"step": 3, "cost": {"tokens": 1.5}}))
    found = checkpoint.read(tmp_path)
    assert found.record == {"step": 3, "cost": {"tokens": 1.5}}
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors.items())


def test_same_content_same_bytes(tmp_path: Path) -> None:
    one = Checkpoint(tensors={"a": torch.ones(3), "b": torch.zeros(2)}, record={"x": 1, "y": 2})
    two = Checkpoint(tensors={"b": torch.zeros(2), "a": torch.ones(3)}, record={"y": 2, "x": 1})
    checkpoint.write(tmp_path, one)
    first = (tmp_path / checkpoint.NAME).read_bytes()
    checkpoint.write(tmp_path, two)
    assert (tmp_path / checkpoint.NAME).read_bytes() == first


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(content)
    with pytest.raises(ResumeError, match="cannot be read"):
        checkpoint.read(tmp_path)


def test_no_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="milepost run"):
        checkpoint.read(tmp_path)


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.write(tmp_path, Checkpoint(tensors={"a": torch.ones(1)}, record={"step": 1}))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write(tmp_path, Checkpoint(tensors={"a": torch.zeros(1)}, record={"step": 2}))
    monkeypatch.undo()
    assert checkpoint.read(tmp_path).record == {"step": 1}


def test_a_kill_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last == 40:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = checkpoint.read(tmp_path)
    number = found.record["number"]
    assert number >= last
    assert torch.equal(found.tensors["w"], torch.full((200_000,), float(number)))
