"""Which stored conversations fulfilled their constraints: what is kept, its score, and why the others are not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from milepost.backup import at_or_above
from milepost.columns import End
from milepost.curation.constraints.constraint import reference
from milepost.curation.constraints.verify import Called, Conversation, Verifier
from milepost.forest import Forest
from milepost.part import Task
from milepost.traces.forests import traces_of
from milepost.traces.record import Message, Trace, calls_of

BLAME, REASON = "label.blame", "label.reason"


@dataclass(frozen=True, kw_only=True)
class Constrained:
    """Keep the conversations that fulfilled all constraints of their task and did nothing besides.

    The constraints are those of the task's reference plan, which stands in the record of a grown tree, in the field
    "record" of a stored line, or in `tasks` under the conversation's task. `keep` is true on every row of a kept
    trajectory, `weight` is the score, on leaves; the leaf of a rejected one has `label.blame` and `label.reason`.

    Source: CoVe: training takes only what is verified.
    """

    reads, writes = ("text", "call", "result", "end", "record"), ("keep", "weight", BLAME, REASON)
    verifier: Verifier
    tasks: Sequence[Task] = field(default_factory=tuple[Task, ...])
    """Tasks whose conversations do not bring their record."""

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with the four columns."""
        known = {task.id.rpartition(":")[2]: task.record for task in self.tasks}
        size, leaves = len(forest), cast("list[int]", forest.leaves().tolist())
        blame: list[str | None] = [None] * size
        reason: list[str | None] = [None] * size
        weight = torch.zeros(size, dtype=torch.float32)
        for leaf in leaves:
            found = _read(forest, leaf, known)
            if isinstance(found, str):
                blame[leaf], reason[leaf] = "no_constraints", found
                continue
            wanted = reference(self.verifier.database, found.record)
            if not wanted.constraints:
                blame[leaf], reason[leaf] = "no_constraints", "no_constraints: the plan of the task writes nothing"
                continue
            outcome = self.verifier(wanted, found.record, found.conversation)
            weight[leaf] = outcome.score
            blame[leaf], reason[leaf] = outcome.blame or None, outcome.why or None
        fine = [leaf for leaf in leaves if blame[leaf] is None]
        marked = torch.zeros(size, dtype=torch.bool).index_fill(0, torch.tensor(fine, dtype=torch.int64), True)
        is_leaf = torch.zeros(size, dtype=torch.bool).index_fill(0, forest.leaves(), True)
        columns = {"keep": at_or_above(marked, forest.parent), "weight": weight, BLAME: blame, REASON: reason}
        return forest.with_columns(columns).with_valid("weight", is_leaf)


@dataclass(frozen=True, kw_only=True)
class _Found:
    record: Mapping[str, Any]
    conversation: Conversation


def _read(forest: Forest, leaf: int, known: Mapping[str, Mapping[str, Any]]) -> _Found | str:
    """What was done on the way to a leaf, or why nothing can be verified."""
    path = forest.path(leaf)
    if "extra_text.role" in forest:
        alone = forest.select(path)
        trace = next(iter(traces_of(alone)))
        record = _record(trace, known)
        calls, said = _calls(trace.messages), [one.get("content") for one in trace.messages if one["role"] == "user"]
    else:
        rows = cast("list[int]", path.tolist())
        texts = forest.text("record") if "record" in forest else [None] * len(forest)
        record = json.loads(texts[rows[0]] or "{}")
        told = [_told(forest, row) for row in rows[1:]]
        calls = [(str(one["name"]), one["arguments"]) for one in told if one.get("action") == "call"]
        results = forest.text("result") if "result" in forest else [None] * len(forest)
        said = [record.get("prompt"), *[results[row] for row in rows]]
    if not any(isinstance(one, dict) for one in record.get("plan", ())):
        return "no_constraints: the task has no plan of calls"
    needs = cast("Sequence[str]", record.get("needs", ()))
    end = End(int(forest["end"][leaf])) if "end" in forest else End.TERMINATED
    conversation = Conversation(calls=tuple(calls), untold=sum(one not in said for one in needs), end=end)
    return _Found(record=record, conversation=conversation)


def _told(forest: Forest, row: int) -> Mapping[str, Any]:
    text = forest.text("call")[row] if "call" in forest else None
    return json.loads(text) if text else {}


def _record(trace: Trace, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    own = trace.rest.get("record")
    return cast("Mapping[str, Any]", own) if isinstance(own, dict) else known.get(trace.task.rpartition(":")[2], {})


def _calls(messages: Sequence[Message]) -> list[Called]:
    """Calls of the agent; arguments that are no JSON object are those of a call that fails anyway."""
    found: list[Called] = []
    for message in messages:
        if message["role"] != "assistant":
            continue
        for call in calls_of(message):
            given: Any = call.arguments
            if isinstance(given, str):
                try:
                    given = json.loads(given)
                except ValueError:
                    given = None
            found.append((call.name, cast("Mapping[str, Any]", given) if isinstance(given, dict) else {}))
    return found
