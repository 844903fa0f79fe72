"""Rows of data sets for trainers from whole conversations that have a reward: attempts at one task side by side.

What an attempt is given is its prompt: all messages before the agent's first answer to the user. Attempts are compared
only where their prompts and their tools are the same to the letter. Tools stay beside the messages, under "tools",
where the chat template of a trainer looks for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from milepost.traces.record import Fault, Trace

TARGETS = {
    "sft": "conversations worth imitating, for TRL's SFTTrainer",
    "dpo": "pairs of a better and a worse answer, for its DPOTrainer",
    "reward": "the same pairs as whole conversations, for its RewardTrainer",
    "kto": "answers with a verdict, for its KTOTrainer",
}
"""Data sets by name, each with one line of help."""

Row = Mapping[str, Any]
_MARKS = ("trl_part", "trl_text")
"""Fields that say where a message stood in a row; a new row places it anew."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A scored conversation, cut where the agent begins to answer."""

    prompt: list[dict[str, Any]]
    completion: list[dict[str, Any]]
    tools: Any
    value: float
    """Its reward."""


def attempts(traces: Iterable[Trace | Fault], reward: str = "") -> Iterator[Attempt | Fault]:
    """Cut conversations, and look up their rewards.

    Args:
        traces: conversations; faults among them go through.
        reward: name of the reward; "": "total", else "outcome", else the only one.

    Yields:
        An attempt, or why a conversation is none: no reward of that name, a reward that failed, no answer of the agent
        to a user, or branches.
    """
    for trace in traces:
        yield trace if isinstance(trace, Fault) else _attempt(trace, reward)


def imitated(found: Iterable[Attempt], least: float) -> Iterator[Row]:
    """Conversations worth imitating, for TRL's SFT trainer.

    Args:
        found: attempts.
        least: smallest reward that is imitated, in reward units.

    Yields:
        Objects with "messages", and "tools" where there are some.
    """
    for one in found:
        if one.value >= least:
            yield {"messages": [*one.prompt, *one.completion], **_tools(one)}


def judged(found: Iterable[Attempt], least: float) -> Iterator[Row]:
    """Conversations with a verdict, for TRL's KTO trainer.

    Args:
        found: attempts.
        least: smallest reward that counts as good, in reward units.

    Yields:
        Objects with "prompt", "completion" and "label".
    """
    for one in found:
        yield {"prompt": one.prompt, "completion": one.completion, "label": one.value >= least, **_tools(one)}


def compared(found: Iterable[Attempt]) -> Iterator[Row]:
    """The best attempt at each task with each worse one, for TRL's DPO trainer.

    Args:
        found: attempts; all are held in memory.

    Yields:
        Objects with "prompt", "chosen" and "rejected", task by task; of equally good ones the first is chosen. Nothing
        where all attempts are equally good.
    """
    groups: dict[str, list[Attempt]] = {}
    for one in found:
        groups.setdefault(json.dumps([one.prompt, one.tools], sort_keys=True), []).append(one)
    for group in groups.values():
        best = max(group, key=lambda one: one.value)
        for other in group:
            if other.value < best.value:
                yield {
                    "prompt": best.prompt,
                    "chosen": best.completion,
                    "rejected": other.completion,
                    **_tools(best),
                }


def whole(rows: Iterable[Row]) -> Iterator[Row]:
    """Pairs for TRL's reward trainer, which reads two whole conversations.

    Args:
        rows: with "prompt", "chosen" and "rejected".

    Yields:
        The same with the prompt in front of both sides.
    """
    for row in rows:
        sides = {side: [*row["prompt"], *row[side]] for side in ("chosen", "rejected")}
        yield sides | ({"tools": row["tools"]} if "tools" in row else {})


def _attempt(trace: Trace, reward: str) -> Attempt | Fault:
    def refused(reason: str) -> Fault:
        return Fault(file=trace.id, line=0, reason=reason)

    named = ", ".join(trace.rewards) or "none"
    name = reward or next((one for one in ("total", "outcome") if one in trace.rewards), "")
    name = name or (next(iter(trace.rewards)) if len(trace.rewards) == 1 else "")
    if name not in trace.rewards:
        return refused(f"no reward {name!r}; its rewards: {named}" if name else f"which reward? Its rewards: {named}")
    value = trace.rewards[name]
    if value is None:
        return refused(f"the reward {name!r} failed")
    if trace.parents is not None:
        return refused("the conversation branches: rows are made of single ones")
    messages = [{key: one for key, one in message.items() if key not in _MARKS} for message in trace.messages]
    asked = next((place for place, one in enumerate(messages) if one["role"] == "user"), len(messages))
    cut = next((place for place in range(asked, len(messages)) if messages[place]["role"] == "assistant"), None)
    if cut is None:
        return refused("the agent never answers a user")
    return Attempt(prompt=messages[:cut], completion=messages[cut:], tools=trace.rest.get("tools"), value=value)


def _tools(one: Attempt) -> dict[str, Any]:
    return {"tools": one.tools} if one.tools else {}
