"""`make test` skips nothing silently: under --fail-on-skip a skip is a failure that says what was missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TESTS = """
import pytest

def test_passes(): ...

@pytest.mark.skip(reason="no accelerator")
def test_marked(): ...

def test_inside():
    pytest.importorskip("a_package_that_does_not_exist")

@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("flags", "summary"),
    [([], "1 passed, 2 skipped, 1 xfailed"), (["--fail-on-skip"], "1 failed, 1 passed, 1 xfailed, 1 error")],
)
def test_skips(root, tmp_path, flags, summary):
    (tmp_path / "conftest.py").write_text(
        (root / "tests" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "test_them.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, "test_them.py"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert summary in done.stdout, done.stdout + done.stderr
    assert ("no accelerator" in done.stdout) == bool(flags)
