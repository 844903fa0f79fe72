"""Files that the formats' own libraries wrote, and lines in every shape, for the tests of bridges.

`inspect.*`: inspect_ai 0.3.285 with a mock model; `tau2.json`: tau2 26.3, retail tasks with gold calls and one wrong
call; `verifiers.jsonl`: verifiers 0.4.0; `otel*.jsonl`: opentelemetry-sdk 1.45.2; `minari`: Minari 0.5.4.
"""

from __future__ import annotations

import json
from pathlib import Path

from milepost.traces.record import Fault, Trace

FILES = Path(__file__).parent / "files"

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "One plus"}, {"type": "text", "text": "two?"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    {"role": "assistant", "content": "3", "refusal": None},
]
USE = {"type": "tool_use", "id": "c1", "name": "add", "input": {"x": 1}}
BLOCKS = [
    {"role": "user", "content": "One plus two?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Let me add."}, USE, {**USE, "id": "c2"}]},
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "3"},
            {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "3"}], "is_error": True},
            {"type": "text", "text": "And?"},
        ],
    },
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "3"}]},
    {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "AAAA"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c9", "content": "late"}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c8"}]},
    {"role": "assistant", "content": []},
]
LINES = {
    "chat": [
        {"id": "a", "task_id": "t", "messages": CHAT, "reward": 1, "tools": [{"type": "function"}]},
        {"messages": CHAT[1:2]},
        CHAT,
        {"request": {"model": "m", "messages": CHAT[:2]}, "response": {"choices": [{"message": CHAT[4]}]}},
        {
            "messages": [{"role": "assistant", "content": "", "tool_calls": []}, {"role": "user"}],
            "finish_reason": "length",
        },
        {"messages": [{"role": "assistant", "tool_calls": [CALL, CALL]}], "rewards": {"a b": 0.5, "none": None}},
    ],
    "anthropic": [
        {"id": "m", "system": "Be brief.", "messages": BLOCKS, "stop_reason": "max_tokens"},
        {
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": BLOCKS[:2],
        },
        {"messages": BLOCKS[1:3]},
    ],
    "trl": [
        {"messages": CHAT},
        {"prompt": CHAT[:2], "completion": CHAT[2:], "reward": 0.25, "advantage": -1.5},
        {"prompt": "One plus two?", "completion": " 3"},
        {"prompt": CHAT[:2], "chosen": CHAT[4:], "rejected": [{"role": "assistant", "content": "4"}]},
        {"chosen": CHAT, "rejected": CHAT[:3]},
        {"prompt": "Say 3", "completion": "3", "label": True},
    ],
    "verl": [
        {"input": "One?", "output": "1", "gts": "1", "score": 1.0, "step": 3},
        {
            "data_source": "sums",
            "prompt": CHAT[:1],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "3"},
            "extra_info": {"index": 7, "split": "train"},
        },
    ],
}
"""Format to lines that are read and written back without loss."""


def write_lines(path: Path, values: list[object]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def traces(found: object) -> list[Trace]:
    """All of what was read; none of it may be a fault."""
    listed = list(found)
    faults = [str(one) for one in listed if isinstance(one, Fault)]
    assert not faults, faults
    return listed
