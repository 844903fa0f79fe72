"""Listing and help need no torch: they answer at once, also where torch is not installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "pyarrow", "numpy", "pandas", "jinja2", "reasoning_gym")
# tyro describes a recipe's flags; `--help` of the command itself needs no more than the standard library and rich.
PROBE = """
import json, sys
sys.argv = ["milepost", *{arguments!r}]
try:
    {statement}
except SystemExit as stop:
    if stop.code not in (0, None):
        raise
print("\\n" + json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


def loaded(statement: str, arguments: tuple[str, ...] = ()) -> list[str]:
    """Heavy modules that are imported once a statement has run in a fresh interpreter."""
    text = PROBE.format(arguments=list(arguments), statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_probe_sees_heavy_modules():
    assert "numpy" in loaded("import numpy")


@pytest.mark.parametrize(
    "module", ["milepost", "milepost.recipe", "milepost.part", "milepost.columns", "milepost.errors"]
)
def test_import_is_light(module):
    assert loaded(f"import {module}") == []


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("list",), ("list", "--json"), ("explain", "grpo"), ("cite", "grpo"), ("--version",)],
    ids=" ".join,
)
def test_command_is_light(arguments):
    assert loaded("from milepost.cli import main; sys.exit(main())", arguments) == []
