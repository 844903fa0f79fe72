"""Triage against orjson alone on the same file: rate, ratio and memory.

    python -m benchmarks.triage [--traces 20000] [--workers 2] [--json]

The file is made of service-desk conversations in the shape of chat completions: a policy of about 5 kB as the system
message, 4 to 8 requests of a user, tool calls with JSON results, answers; words are drawn by Zipf's law from 6,000
made-up ones, and one conversation in three holds a planted problem. "lean" leaves the policy out. The same few thousand
conversations are repeated with their numbers changed, so that a file of a million takes minutes to write.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from milepost import keys
from milepost.engines.triage.run import Triage, triage

KEY, DISTINCT, WORDS = keys.root(2026), 2000, 6000
SHAPES = ("policy", "lean")
TROUBLE = (
    "No, that is not what I asked!",
    "This is ridiculous, let me speak to a manager.",
    "I give up.",
    "What do you mean? I don't understand.",
)
FAILED = ("Error: invalid parameter 'order_id'", "Error: order not found", "Error: request timed out", "429 rate limit")


class Writer:
    """Conversations by the thousand from one stream of random numbers."""

    def __init__(self, shape: str) -> None:
        self.random = keys.generator(keys.fold(KEY, shape))
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        sizes = self.random.integers(2, 11, WORDS)
        self.words = np.array(["".join(self.random.choice(letters, size)) for size in sizes])
        weight = 1 / (np.arange(WORDS) + 2.7)
        self.weight = weight / weight.sum()
        self.policy = "\n".join(f"- {self.text(18)}" for _ in range(50)) if shape == "policy" else ""

    def text(self, size: int) -> str:
        """A sentence of so many words."""
        return " ".join(self.random.choice(self.words, size, p=self.weight)).capitalize() + "."

    def whole(self, low: int, high: int) -> int:
        """A whole number in [low, high)."""
        return int(self.random.integers(low, high))

    def conversation(self) -> list[dict[str, Any]]:
        """Messages of one conversation; ORDER stands for numbers that differ from copy to copy."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": self.policy}] if self.policy else []
        requests = self.whole(4, 9)
        trouble = self.whole(0, 3 * requests)
        for turn in range(requests):
            said = self.text(self.whole(5, 31)) + " ORDER"
            messages.append({"role": "user", "content": TROUBLE[trouble % 4] if turn == trouble else said})
            for _ in range(self.whole(0, 3)):
                name = f"get_{self.words[self.whole(0, 40)]}"
                arguments = json.dumps({"order_id": "ORDER", self.text(1): self.text(2)})
                call = {
                    "id": f"call_{len(messages)}",
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
                failed = turn == trouble and self.whole(0, 2) == 0
                answer = FAILED[self.whole(0, 4)] if failed else self.answer()
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": answer})
            messages.append({"role": "assistant", "content": self.text(self.whole(10, 61))})
        if self.whole(0, 2):
            messages.append({"role": "user", "content": "Thank you, that is all."})
        return messages

    def answer(self) -> str:
        """What a tool answers: JSON of one to nine records."""
        items = [
            {"name": self.text(2), "price": self.whole(1, 999), "options": self.text(4)}
            for _ in range(self.whole(1, 10))
        ]
        return json.dumps({"order": "ORDER", "items": items})


def write(path: Path, shape: str, traces: int) -> None:
    """Write a file of conversations.

    Args:
        path: the file.
        shape: "policy" or "lean".
        traces: how many.
    """
    writer = Writer(shape)
    patterns = [orjson.dumps({"id": "TRACE", "messages": writer.conversation()}) for _ in range(min(DISTINCT, traces))]
    with path.open("wb") as file:
        for number in range(traces):
            numbers = f"W{number * 7919 % 10_000_019:08d}".encode()
            line = patterns[number % len(patterns)].replace(b"ORDER", numbers).replace(b"TRACE", b"t%d" % number)
            file.write(line + b"\n")


def busy() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def parse_alone(path: Path) -> float:
    """Seconds that orjson takes for every line of a file."""
    start = time.perf_counter()
    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)
    return time.perf_counter() - start


def measure(path: Path, *, workers: int, rounds: int) -> dict[str, float]:
    """Rates on a file, side by side in each round; the best of each.

    Args:
        path: the file.
        workers: processes.
        rounds: repeats.

    Returns:
        Traces, megabytes, seconds of orjson and of triage, their ratio by the clock and by processor time, traces a
        second, and megabytes of memory.
    """
    piece = min(max(path.stat().st_size // 8, 16 << 20), Triage().piece_bytes)
    alone, whole, alone_busy, whole_busy, kept, seen = [], [], [], [], 0, 0
    for _ in range(rounds):
        used = busy()
        alone.append(parse_alone(path))
        alone_busy.append(busy() - used)
        out = Path(tempfile.mkdtemp(dir=path.parent)) / "out"
        start, used = time.perf_counter(), busy()
        done = triage(path, out, Triage(workers=workers, piece_bytes=piece), tell=lambda _: None)
        whole.append(time.perf_counter() - start)
        whole_busy.append(busy() - used)
        kept, seen = done.chosen.kept, done.chosen.traces
        shutil.rmtree(out.parent)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    return {
        "traces": seen,
        "kept": kept,
        "MB": path.stat().st_size / 1e6,
        "orjson s": min(alone),
        "triage s": min(whole),
        "ratio": min(alone) / min(whole),
        "ratio by processor time": min(alone_busy) / min(whole_busy),
        "traces per s": seen / min(whole),
        "peak MB of one process": peak,
    }


def main() -> None:
    """Measure both shapes and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triage", description=__doc__)
    parser.add_argument("--traces", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=SHAPES, action="append", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shape or SHAPES:
            path = Path(folder) / f"{shape}.jsonl"
            write(path, shape, options.traces)
            for workers in sorted({1, options.workers}):
                found[f"{shape}, {workers} workers"] = measure(path, workers=workers, rounds=options.rounds)
            path.unlink()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    for name, figures in found.items():
        shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
        sys.stdout.write(f"{name}: {shown}\n")


if __name__ == "__main__":
    main()
