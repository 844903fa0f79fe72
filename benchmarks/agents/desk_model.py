"""Triage of conversations of tau2's service desks that a small language model led: what it finds against tau2's checks.

    python -m benchmarks.agents.desk_model [--out DIR] [--count 60] [--model smollm2] [--read DIR]

A scripted agent without mistakes begins each conversation and hands it over after a random number of its steps, none
and all included; from there a model of 135M weights (any that `milepost run --model` knows) calls tools and talks. So
some conversations end well and some do not, and how they go wrong is the model's doing. Nobody planted anything: the
measure is the verdict of tau2's own checks. Writes three formats, triages each with the command, and prints how many of
the picks were not solved, beside all. `--read` triages what an earlier call wrote.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.desk_traces import WRITERS, triaged
from milepost import keys
from milepost.columns import End
from milepost.curation.signals.taxonomy import GROUPS
from milepost.environments.sandbox import action as acts
from milepost.environments.sandbox.clerk import Clerk, Worked, conversation
from milepost.environments.sandbox.environment import Desk, DeskState
from milepost.environments.sandbox.tau2 import DOMAINS, Tau2
from milepost.part import Action, ChatRequest, Task
from milepost.policies.named_chat import chat

STEPS, SHOWN, LAST, LONGEST = 6, 240, 6, 56
"""Steps of the model at most; characters of an answer that it sees; messages that it sees; tokens of its own."""
SHARE = 0.3
"""Share of the conversations that triage keeps."""


@dataclass(kw_only=True)
class Case:
    """One conversation in progress."""

    desk: Desk
    task: Task
    key: int
    state: DeskState
    messages: list[dict[str, Any]]
    seen: list[dict[str, str]]
    """The same as the model reads it."""
    by_model: int = 0
    end: End = End.OPEN
    answer: str | None = None

    def step(self, text: str) -> None:
        """Do what is written, and keep what came back."""
        went = self.desk.step(self.state, Action(text=text), keys.fold(self.key, "turn", len(self.messages)))
        told, result = json.loads(went.columns["call"]), str(went.columns["result"])
        self.messages += conversation(told, result, len(self.messages))
        self.seen += [{"role": "assistant", "content": text}, {"role": "user", "content": result[:SHOWN]}]
        self.state, self.end, self.answer = went.state, went.end, told.get("answer")

    def asked(self) -> ChatRequest:
        """What the model is asked."""
        shown = self.seen if len(self.seen) <= LAST else [self.seen[0], *self.seen[1 - LAST :]]
        return ChatRequest(
            messages=({"role": "system", "content": system(self.desk)}, *shown),
            max_tokens=LONGEST,
            temperature=0.7,
            seed=self.key % 2**31,
        )


def system(desk: Desk) -> str:
    """A short system message: tools by name and argument, for a model that reads little."""
    tools = [one["function"] for one in desk.sandbox.signatures()]
    names = [f"{one['name']}({', '.join(one['parameters'].get('properties', {}))})" for one in tools]
    return f"You help customers of a shop or an airline. {acts.INSTRUCTION} Tools: {'; '.join(names)}."


def begun(desk: Desk, task: Task, key: int) -> Case:
    """A conversation that the scripted agent has begun, with room for the model."""
    script = [one for one in Clerk(mistakes={}).work(desk, task, key).messages if one["role"] == "assistant"]
    handed = int(keys.generator(keys.fold(key, "handed over")).integers(0, len(script) + 1))
    start = desk.reset(task, key)
    opening = start.observation.messages[-1]
    room = dataclasses.replace(desk, turns=min(handed, len(script) - 1) + STEPS)
    case = Case(desk=room, task=task, key=key, state=start.state, messages=[dict(opening)], seen=[dict(opening)])
    for message in script[: min(handed, len(script) - 1)]:
        case.step(_text(message))
    return case


def _text(message: Mapping[str, Any]) -> str:
    if not message.get("tool_calls"):
        return acts.spoken(str(message["content"]))
    function = message["tool_calls"][0]["function"]
    return acts.written(function["name"], json.loads(function["arguments"]))


def led(model: str, count: int, seed: int) -> list[Case]:
    """Conversations of both desks, led to their end by a model, all together turn by turn."""
    desks = [Desk(sandbox=Tau2(domain=name), train_size=999, held_out_size=999, turns=60) for name in DOMAINS]
    pools = [desk.train() + desk.held_out() for desk in desks]
    places = [(number % len(desks), number // len(desks)) for number in range(count)]
    cases = [
        begun(desks[desk], pools[desk][place % len(pools[desk])], keys.fold(seed, "conversation", number))
        for number, (desk, place) in enumerate(places)
    ]
    writer = chat(model)
    while still := [one for one in cases if one.end == End.OPEN]:
        for case, reply in zip(still, writer.reply([one.asked() for one in still]), strict=True):
            text = reply.text.strip()
            tagged = acts.read(text).kind != "malformed" or "<call>" in text
            case.step(text if tagged else acts.spoken(text.removeprefix("<say>") or "..."))
            case.by_model += 1
        print(f"{len(still)} conversations went on", flush=True)
    return cases


def found_by(column: Any, number: int) -> np.ndarray[Any, Any]:
    """Verdicts in the order of a table's rows."""
    return np.array([int(name) if len(name) < 12 else int(name.removeprefix("0x"), 16) - 1 for name in column])[:number]


def measured(out: Path, name: str, unsolved: Sequence[bool]) -> str:
    """A row of a table: picks of one format."""
    found = triaged(out / WRITERS[name][0], "--keep", str(SHARE), "--sentinel", "0")
    table, told, bad = found["table"], found["told"], np.array(unsolved)
    kept = table.column("keep").to_numpy(zero_copy_only=False)
    order = found_by(table.column("id").to_pylist(), len(bad))
    groups = [f"severity.{group}" for group in GROUPS if group != "satisfaction"]
    trouble = np.stack([table.column(one).to_numpy() > 0 for one in groups]).any(axis=0)
    hit = bad[order]
    return (
        f"| {name}: {told['traces']} read, {told['faults']} faults | kept {kept.sum()}, {hit[kept].mean():.1%} of them "
        f"not solved; with any trouble {trouble.sum()}, {hit[trouble].mean():.1%} not solved, which is "
        f"{hit[trouble].sum() / max(bad.sum(), 1):.1%} of all that were not solved; without, {(~trouble).sum()}, "
        f"{hit[~trouble].mean() if (~trouble).any() else 0.0:.1%} not solved |"
    )


def main() -> None:
    """Lead, write, triage, count."""
    parser = argparse.ArgumentParser(description="Triage of conversations that a small model led.")
    parser.add_argument("--out", type=Path, default=Path("runs/desk-model"))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--read", type=Path, default=None)
    options = parser.parse_args()
    out = options.read or options.out
    if options.read is None:
        out.mkdir(parents=True, exist_ok=True)
        cases = led(options.model, options.count, options.seed)
        worked = [
            Worked(task=one.task, messages=tuple(one.messages), end=one.end, answer=one.answer, mistakes=())
            for one in cases
        ]
        for file, write in WRITERS.values():
            (out / file).write_bytes(write(worked))
        told = [{"unsolved": not one.solved, "why": one.answer} for one in worked]
        steps = [one.by_model for one in cases]
        (out / "verdicts.json").write_text(json.dumps({"told": told, "steps": steps}), encoding="utf-8")
    read = json.loads((out / "verdicts.json").read_text(encoding="utf-8"))
    unsolved = [bool(one["unsolved"]) for one in read["told"]]
    whys = Counter(str(one["why"])[:40] for one in read["told"])
    print(f"{len(unsolved)} conversations, {np.mean(unsolved):.1%} not solved, {np.mean(read['steps']):.1f} steps each")
    print(f"by the model: {whys.most_common(8)}")
    for name in WRITERS:
        print(measured(out, name, unsolved))


if __name__ == "__main__":
    main()
