"""A small triage with trouble of several kinds, hostile strings, and what stands where."""

import json

from milepost.curation.selection.rules import BySignals, Selection
from milepost.engines.triage.run import Triage, triage
from tests.report.hostile import STRINGS

CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"zip": "1"}'}}
NOT_FOUND = {"role": "tool", "tool_call_id": "c", "content": "Error: Tool 'find' not found."}


def conversation(*said):
    return [{"role": "user" if place % 2 == 0 else "assistant", "content": text} for place, text in enumerate(said)]


def lines():
    """Forty fine conversations, two in trouble, and one per hostile string."""
    for number in range(40):
        yield {
            "id": f"fine {number}",
            "task_id": f"t{number}",
            "messages": conversation(f"Please book number {number}.", "Done."),
        }
    failing = [*conversation("Find Ann."), {"role": "assistant", "content": None, "tool_calls": [CALL]}, NOT_FOUND]
    yield {"id": "failing", "messages": [*failing, {"role": "assistant", "content": "I cannot."}]}
    yield {"id": "wrong", "messages": conversation("Cancel it.", "Booked.", "That is not what I asked!!", "Oh.")}
    for number, text in enumerate(STRINGS):
        yield {
            "id": text[:40],
            "task_id": text,
            "messages": conversation(f"{number} {text}", text, "That is not what I asked!!", text),
        }


def made(folder, *, keep=0.5):
    """Write the file and triage it."""
    source = folder / "talks.jsonl"
    source.write_text("".join(json.dumps(one) + "\n" for one in lines()), encoding="utf-8")
    settings = Triage(selection=Selection(rule=BySignals(), keep=keep), alike=2.0)
    triage(source, folder / "talks.jsonl.triage", settings, tell=lambda _: None)
    return folder / "talks.jsonl.triage"
