"""Recipes that measure, over several seeds, as rows for docs/evidence.md.

    python -m benchmarks.experiments.tables ss-orl --repeats 5 [flags of milepost run]
    python -m benchmarks.experiments.tables --read FOLDER

Prints one Markdown table per task: mean and 95 % interval of Student's t over the repeats.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from milepost.engines.experiments import run
from milepost.report import experiments


def shown(cell: experiments.Cell) -> str:
    """A mean with its interval."""
    if cell.count == 0:
        return "-"
    interval = f" [{cell.mean.low:.3g}, {cell.mean.high:.3g}]" if cell.count > 1 else ""
    return f"{cell.mean.estimate:.3g}{interval}"


def table(found: experiments.Table) -> str:
    """One task as Markdown."""
    lines = [
        f"{found.task}, {found.repeats} repeats",
        "",
        "| arm | " + " | ".join(found.quantities) + " |",
        "|---|" + "---|" * len(found.quantities),
        *(f"| {arm} | " + " | ".join(map(shown, cells)) + " |" for arm, cells in found.arms.items()),
    ]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str]) -> None:
    """Run a recipe and print its tables, or those of a folder."""
    with tempfile.TemporaryDirectory() as fresh:
        folder = Path(arguments[1]) if arguments[:1] == ["--read"] else Path(fresh) / "run"
        if arguments[:1] != ["--read"]:
            command = [sys.executable, "-m", "milepost.cli", "run", *arguments, "--out", str(folder), "--no-report"]
            subprocess.run(command, check=True, stdout=sys.stderr)
        for one in experiments.tables(run.read(folder)):
            print(table(one))


if __name__ == "__main__":
    main(sys.argv[1:])
