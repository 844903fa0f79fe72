"""The documentation builds without a warning, and every public name is in its index."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_documentation_builds(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-6000:]
    # Sphinx's inventory: four lines of text, then one compressed line per object.
    inventory = zlib.decompress((tmp_path / "html" / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    for name in (
        "milepost.forest.Forest.select",
        "milepost.segments.group_sum",
        "milepost.credit.group.Normalised.eps",
    ):
        assert f"\n{name} py:" in inventory
    assert (tmp_path / "html" / "generated" / "methods" / "grpo.html").is_file()
    assert (tmp_path / "html" / "llms.txt").is_file()
