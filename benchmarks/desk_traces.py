"""Triage of conversations made in tau2's own service desks by a scripted agent with planted mistakes.

    python -m benchmarks.desk_traces [--out DIR] [--count 600] [--seeds 20]

Writes the conversations in three formats (chat completions, tau2's result file, OpenTelemetry spans), triages each with
the command, and prints what precision the picks have for planted mistakes; then the yield of signals against the length
rule (ten user messages), the longest conversations and random picks with Fisher's exact test, with a budget of 100, for
several seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from milepost.curation.selection.yields import Arm, compare
from milepost.curation.signals.taxonomy import GROUPS
from milepost.environments.sandbox.clerk import Clerk, Worked, pool
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import DOMAINS, Tau2

BUDGET = 100
_END = {"TERMINATED": "user_stop", "TURN_LIMIT": "max_steps", "ERROR": "agent_error"}
LOUD = ("invented_tool", "missing_argument", "repeated", "wrong_entity", "deaf")
"""Mistakes that leave a trace in the conversation; the others (dropped, silent) look like any other conversation."""


def made(count: int, seed: int) -> list[Worked]:
    """Conversations of both desks, in turn."""
    desks = [Desk(sandbox=Tau2(domain=name), train_size=999, held_out_size=999, turns=60) for name in DOMAINS]
    found = [
        list(pool(Clerk(), desk, desk.train() + desk.held_out(), count=count // len(desks), key=seed)) for desk in desks
    ]
    return [one for pair in zip(*found, strict=True) for one in pair]


def chat(worked: Sequence[Worked]) -> bytes:
    """JSON lines of chat completions."""
    lines = [
        json.dumps({"id": str(n), "task_id": one.task.id, "messages": one.messages}) for n, one in enumerate(worked)
    ]
    return "\n".join(lines).encode() + b"\n"


def tau2(worked: Sequence[Worked]) -> bytes:
    """A result file of tau2, written by its own classes as far as they need no client of a model."""
    from milepost.environments.sandbox import tau2 as desks

    desks.load("retail.tools")
    from tau2.data_model.message import AssistantMessage, ToolCall, ToolMessage, UserMessage

    simulations: list[dict[str, Any]] = []
    for number, one in enumerate(worked):
        messages: list[dict[str, Any]] = []
        for message in one.messages:
            if message["role"] == "tool":
                told: Any = ToolMessage(
                    id=message["tool_call_id"], role="tool", content=message["content"],
                    error=str(message["content"]).startswith("Error"),
                )  # fmt: skip
            elif message.get("tool_calls"):
                calls = [
                    ToolCall(
                        id=made["id"],
                        name=made["function"]["name"],
                        arguments=json.loads(made["function"]["arguments"]),
                    )
                    for made in message["tool_calls"]
                ]
                told = AssistantMessage(role="assistant", content=message["content"], tool_calls=calls)
            else:
                kind = UserMessage if message["role"] == "user" else AssistantMessage
                told = kind(role=message["role"], content=message["content"])
            messages.append(told.model_dump(mode="json"))
        simulations.append(
            {
                "id": str(number),
                "task_id": one.task.id,
                "trial": 0,
                "messages": messages,
                "termination_reason": _END.get(one.end.name, "agent_error"),
                "reward_info": {"reward": float(one.solved)},
            }
        )
    return json.dumps({"simulations": simulations}).encode()


def spans(worked: Sequence[Worked]) -> bytes:
    """Spans of generative models as OpenTelemetry's own exporter for the console writes them, one a line."""
    lines: list[str] = []
    for number, one in enumerate(worked):
        parts: list[dict[str, Any]] = []
        for message in one.messages:
            if message["role"] == "tool":
                told = [{"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}]
            else:
                told = [{"type": "text", "content": message["content"]}] if message.get("content") else []
                told += [
                    {
                        "type": "tool_call",
                        "id": c["id"],
                        "name": c["function"]["name"],
                        "arguments": json.loads(c["function"]["arguments"]),
                    }
                    for c in message.get("tool_calls", ())
                ]
            parts.append({"role": message["role"], "parts": told})
        last = max(place for place, part in enumerate(parts) if part["role"] == "assistant")
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps(parts[:last]),
            "gen_ai.output.messages": json.dumps(parts[last : last + 1]),
        }
        trace = f"{number + 1:032x}"
        lines.append(
            json.dumps(
                {
                    "name": "chat",
                    "context": {"trace_id": f"0x{trace}", "span_id": f"0x{number + 1:016x}"},
                    "parent_id": None,
                    "start_time": "2026-11-23T00:00:00Z",
                    "end_time": "2026-11-23T00:00:01Z",
                    "status": {"status_code": "OK"},
                    "attributes": attributes,
                    "events": [],
                }
            )
        )
    return "\n".join(lines).encode() + b"\n"


WRITERS = {"chat": ("chat.jsonl", chat), "tau2": ("results.json", tau2), "otel": ("spans.jsonl", spans)}


def triaged(path: Path, *flags: str) -> dict[str, Any]:
    """Run the command, and return its table with what it printed."""
    out = path.with_name(f"{path.name}.triage")
    shutil.rmtree(out, ignore_errors=True)
    told = call_document("triage", str(path), "--out", str(out), "--workers", "1", "--alike", "2", *flags)
    return {"told": told, "table": pq.read_table(out / "traces.parquet")}


def call_document(*arguments: str) -> dict[str, Any]:
    """Run a verb with --json that prints one document."""
    import subprocess

    command = [sys.executable, "-m", "milepost.cli", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout)


def main() -> None:
    """Make, triage, count."""
    parser = argparse.ArgumentParser(description="Triage of conversations of tau2's service desks.")
    parser.add_argument("--out", type=Path, default=Path("runs/desk-traces"))
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    worked = made(options.count, 0)
    planted = np.array([bool(one.mistakes) for one in worked])
    loud = np.array([bool(set(one.mistakes) & set(LOUD)) for one in worked])
    kinds = Counter(kind for one in worked for kind in set(one.mistakes))
    print(f"{len(worked)} conversations, {planted.mean():.1%} with a planted mistake: {dict(kinds)}")
    for name, (file, write) in WRITERS.items():
        (options.out / file).write_bytes(write(worked))
        found = triaged(options.out / file, "--keep", "0.15", "--sentinel", "0")
        table, told = found["table"], found["told"]
        kept = table.column("keep").to_numpy(zero_copy_only=False)
        order = np.array([_number(one) for one in table.column("id").to_pylist()])
        trouble = [f"severity.{group}" for group in GROUPS if group != "satisfaction"]
        score = np.stack([table.column(one).to_numpy() > 0 for one in trouble]).any(axis=0)
        print(
            f"| {name}: {told['traces']} read, {told['faults']} faults | kept {kept.sum()}: precision "
            f"{planted[order][kept].mean():.1%} for planted mistakes; any trouble: precision "
            f"{planted[order][score].mean():.1%}, recall {planted[order][score].sum() / planted.sum():.1%} of all, "
            f"{loud[order][score].sum() / loud.sum():.1%} of those that leave a trace |"
        )
    arms: dict[str, list[int]] = {"signals": [], "length": [], "random": [], "longest": []}
    for seed in range(options.seeds):
        worked = made(options.count, 100 + seed)
        bad = np.array([bool(one.mistakes) for one in worked])
        (options.out / "chat.jsonl").write_bytes(chat(worked))
        longest = np.argsort([-len(one.messages) for one in worked], kind="stable")[:BUDGET]
        arms["longest"].append(int(bad[longest].sum()))
        for rule in ("signals", "length", "random"):
            share = str(BUDGET / len(worked))
            flags = ("--keep", share, "--sentinel", "0", "--rule", rule, "--seed", str(seed), "--without", "dragging")
            table = triaged(options.out / "chat.jsonl", *flags)["table"]
            kept = table.column("keep").to_numpy(zero_copy_only=False)
            order = np.array([_number(one) for one in table.column("id").to_pylist()])
            arms[rule].append(round(BUDGET * float(bad[order][kept].mean())))
    first = {name: Arm(name=name, informative=counts[0], read=BUDGET) for name, counts in arms.items()}
    for one, other in (("signals", "longest"), ("signals", "random"), ("longest", "random")):
        print(compare(first[one], first[other]))
    for name, counts in arms.items():
        spread = statistics.stdev(counts) if len(counts) > 1 else 0.0
        print(
            f"{name}: {statistics.mean(counts):.1f} of {BUDGET} (standard deviation {spread:.1f}, {len(counts)} seeds)"
        )


def _number(name: str) -> int:
    """Which conversation a row is: ids are numbers, of spans in hexadecimal digits from 1."""
    return int(name) if len(name) < 12 else int(name.removeprefix("0x"), 16) - 1


if __name__ == "__main__":
    main()
