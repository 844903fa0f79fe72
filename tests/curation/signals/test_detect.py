"""All signals together: linear time, no memory of other conversations, nothing changed."""

import copy
import time

from milepost.curation.signals.detect import detect_in
from milepost.curation.signals.taxonomy import KINDS

LONG = [
    message
    for turn in range(10)
    for message in (
        {
            "role": "user",
            "content": f"Question {turn} about order {turn * 7919}: where is it, and when does it arrive?",
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"name": f"get{turn}", "arguments": f'{{"id": {turn}}}'}],
        },
        {"role": "tool", "content": f'{{"order": {turn}, "status": "on its way"}}'},
        {"role": "assistant", "content": f"Order {turn * 31} is on its way and will arrive on day {turn}."},
    )
]


def test_ten_thousand_conversations_in_two_minutes():
    """40 messages each; a tenth of them here, in a tenth of the time."""
    start = time.perf_counter()
    found = detect_in([LONG] * 1000)
    assert time.perf_counter() - start < 12
    assert {KINDS[kind] for kind in found.kind} == {"dragging"}
    assert len(found.trace) == 1000


def test_nothing_is_changed():
    before = copy.deepcopy(LONG)
    detect_in([LONG])
    assert before == LONG


def test_nothing_to_look_at():
    assert detect_in([]).kind == detect_in([[]]).kind == []
