"""The figures of docs/evidence.md that take long: the demo, comparisons at equal cost, kills, workers.

    python -m benchmarks.evidence [demo] [kills] [workers] [a-grae] [vas] [slate] [--repeats 5] [--steps 30] [--out DIR]

Prints one line of Markdown per figure, for the table of docs/evidence.md. Everything runs through the command line as a
user would call it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DEMO = "examples/demo.toml"
SUMS = "examples/sums.toml"
POOL = "examples/mixed.toml"
VERSIONS = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "numpy"))


def milepost(*arguments: str) -> list[str]:
    """The command line of a milepost verb."""
    return [sys.executable, "-m", "milepost.cli", *arguments]


def call(*arguments: str) -> list[dict[str, Any]]:
    """Run a verb with --json and return its lines."""
    found = subprocess.run(milepost(*arguments, "--json"), capture_output=True, text=True, check=False)
    if found.returncode not in (0, 1):
        sys.exit(f"milepost {' '.join(arguments)} failed:\n{found.stderr[-2000:]}")
    return [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]


def row(what: str, figure: str, command: str) -> None:
    """Print one line of the table."""
    day = dt.datetime.now(tz=dt.UTC).date().isoformat()
    sys.stdout.write(f"| {what} | {figure} | {day} | {VERSIONS} | `{command}` |\n")
    sys.stdout.flush()


def demo(chosen: argparse.Namespace) -> None:
    """Success before and after the demo's run."""
    began = time.perf_counter()
    out = chosen.out / "demo"
    shutil.rmtree(out, ignore_errors=True)
    last = call("run", "@", DEMO, "--out", str(out))[-1]
    seconds = time.perf_counter() - began
    before, after = last["first"], last["last"]
    figure = (
        f"held-out success {before['success']:.1%} -> {after['success']:.1%}, gain {last['gain']:.1%} "
        f"[{last['gain_low']:.1%}, {last['gain_high']:.1%}] in {seconds:.0f} s"
    )
    row("the demo's policy learns", figure, f"milepost run @ {DEMO}")


def digest(folder: Path) -> dict[str, str]:
    """Content of every file of a run, times left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("timings.jsonl",)]
    kept = [path for path in paths if path.suffix not in (".html", ".md")]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def kills(chosen: argparse.Namespace) -> None:
    """A run of the embedded model, killed ten times at random moments, against the uninterrupted one."""
    whole, cut = chosen.out / "whole", chosen.out / "cut"
    for folder in (whole, cut):
        shutil.rmtree(folder, ignore_errors=True)
    flags = ("@", SUMS, "--steps", "40", "--tasks-per-step", "8", "--held-out", "16")
    call("run", "grpo", *flags, "--out", str(whole))
    moments, times = random.Random(3), 0
    while times < 10:
        verb = ("resume", str(cut)) if (cut / "manifest.json").is_file() else ("run", "grpo", *flags, "--out", str(cut))
        if verb[0] == "run":
            shutil.rmtree(cut, ignore_errors=True)
        process = subprocess.Popen(milepost(*verb, "--json"), stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.1, 2.5))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        times += 1
    call("resume", str(cut))
    same = digest(whole) == digest(cut)
    row(
        "forests, weights and metrics after SIGKILLs at random moments equal the uninterrupted run's",
        f"{'byte-equal' if same else 'NOT EQUAL'} after {times} kills",
        "python -m benchmarks.evidence kills",
    )


def workers(chosen: argparse.Namespace) -> None:
    """The same first batch with one and two workers."""
    from milepost import storage

    folders = [chosen.out / "one", chosen.out / "two"]
    for number, folder in enumerate(folders, 1):
        shutil.rmtree(folder, ignore_errors=True)
        call("run", "grpo", "@", SUMS, "--steps", "1", "--workers", str(number), "--out", str(folder))
    one, two = (storage.read(folder / "forests" / "step-000001") for folder in folders)
    tokens = bool((one["tokens.id"] == two["tokens.id"]).all())
    valid = one.valid("tokens.log_prob")
    gap = float((one["tokens.log_prob"] - two["tokens.log_prob"])[valid].abs().max())
    row(
        "one and two workers: tokens of all trajectories, largest difference of a log-probability",
        f"tokens {'equal' if tokens else 'NOT EQUAL'} ({len(one.leaves())} trajectories), {gap:.1e} nats",
        "python -m benchmarks.evidence workers",
    )


def compare(first: str, second: str, settings: str) -> Callable[[argparse.Namespace], None]:
    """A comparison at equal cost with paired seeds."""

    def measure(chosen: argparse.Namespace) -> None:
        out = chosen.out / f"{first}-{second}"
        flags = ("@", settings, "--steps", str(chosen.steps), "--repeats", str(chosen.repeats))
        last = call("compare", first, second, *flags, "--out", str(out))[-1]
        sentence = last.get("sentence") or json.dumps(last)[:300]
        command = f"milepost compare {first} {second} {' '.join(flags)}"
        row(f"{first} against {second} at equal tokens", sentence, command)

    return measure


JOBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "demo": demo,
    "kills": kills,
    "workers": workers,
    "a-grae": compare("a-grae", "grpo", SUMS),
    "vas": compare("vas", "grpo", POOL),
    "slate": compare("slate", "grpo", DEMO),
}


def main(arguments: Sequence[str]) -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description="Measure the figures of docs/evidence.md that take long.")
    parser.add_argument("jobs", nargs="*", choices=[*JOBS, []], default=[])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.jobs or JOBS:
        JOBS[name](chosen)


if __name__ == "__main__":
    main(sys.argv[1:])
