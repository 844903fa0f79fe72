"""A trusted interpreter that is started with fewer rights can read its libraries and nothing else."""

import subprocess
import sys


def confined(*arguments):
    command = [sys.executable, "-m", "milepost.jail.confine", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_it_starts_and_is_confined(tmp_path):
    (tmp_path / "secret").write_text("secret")
    assert confined("/bin/cat", "/proc/self/status").stdout.splitlines()[0] == "Name:\tcat"
    assert "Permission denied" in confined("/bin/cat", str(tmp_path / "secret")).stderr
    assert confined("/bin/sh", "-c", "/bin/cat /proc/self/status").returncode != 0


def test_its_environment_is_empty():
    assert confined("/usr/bin/env").stdout.strip() == "LC_ALL=C.UTF-8"
