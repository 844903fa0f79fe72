"""After `restrict` only the named files are left; measured in a process of its own, because it is for ever."""

import subprocess
import sys

import pytest

from milepost.errors import SandboxError
from milepost.jail import landlock

TEXT = """
import socket, sys
from milepost.jail import landlock
held = landlock.restrict(readable=(sys.argv[1],), executable=("/bin/sh",))
print(",".join(held), open(sys.argv[1] + "/a").read())
for act in (lambda: open(sys.argv[2]), lambda: open(sys.argv[1] + "/b", "w"), lambda: open(sys.argv[1] + "/a", "a"),
            lambda: socket.create_connection(("127.0.0.1", 9))):
    try:
        act()
    except PermissionError:
        print("refused")
"""


def test_only_the_named_files_are_left(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("fine")
    (tmp_path / "out").write_text("secret")
    command = [sys.executable, "-c", TEXT, str(tmp_path / "in"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first.startswith("files")
    assert first.endswith(" fine")
    assert others == ["refused"] * (4 if "network" in first else 3)
    assert not (tmp_path / "in" / "b").exists()


def test_a_kernel_without_it_is_refused(monkeypatch):
    monkeypatch.setattr(landlock, "_CREATE", 100_000)
    assert landlock.version() == 0
    with pytest.raises(SandboxError, match="no Landlock"):
        landlock.restrict()


def test_version_is_a_number():
    assert landlock.version() >= 1
