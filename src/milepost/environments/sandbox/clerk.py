"""A scripted agent: it follows a task's reference plan, with planted mistakes of known kinds and rates.

Its conversations have the shape of real ones, and what is wrong with each is known: what finds trouble in traces is
measured against them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from milepost import checks, keys
from milepost.columns import End
from milepost.environments.sandbox import action as acts
from milepost.environments.sandbox.environment import Desk
from milepost.part import Action, Task

Mistake = Literal["wrong_entity", "dropped", "silent", "invented_tool", "missing_argument", "repeated", "deaf"]
"""wrong_entity: a call that writes names something that does not exist. dropped: a call that writes is left out.
silent: the user is not told the outcome. invented_tool: a tool that does not exist is tried first. missing_argument: a
call is tried without its first argument. repeated: a call is made four times. deaf: the same question is asked
three times."""

MISTAKES: Mapping[Mistake, float] = {
    "wrong_entity": 0.05,
    "dropped": 0.05,
    "silent": 0.05,
    "invented_tool": 0.03,
    "missing_argument": 0.03,
    "repeated": 0.02,
    "deaf": 0.05,
}
"""Rate of each kind: per call where it is about calls, else per conversation."""
_OF_CALLS = ("wrong_entity", "dropped", "invented_tool", "missing_argument", "repeated")
_OF_WRITES = ("wrong_entity", "dropped")
ASKS = "Could you tell me more about what you need?"
DONE = "Everything is arranged."


@dataclass(frozen=True, kw_only=True)
class Worked:
    """A worked task."""

    task: Task
    messages: tuple[Mapping[str, Any], ...]
    """The conversation, in the shape of chat completions."""
    end: End
    answer: str | None
    """The verdict; None where there is none."""
    mistakes: tuple[Mistake, ...]
    """Kinds of the mistakes made, in order."""

    @property
    def solved(self) -> bool:
        """Whether the checks say so."""
        return self.answer == "solved"


@dataclass(frozen=True, kw_only=True)
class _Move:
    text: str
    mistake: Mistake | None = None


@dataclass(frozen=True, kw_only=True)
class Clerk:
    """Asks until the user has said everything, makes the calls of the plan, and tells the outcome.

    Example:
        >>> from milepost.environments.sandbox.tau2 import Tau2
        >>> desk = Desk(sandbox=Tau2(domain="retail"))
        >>> Clerk(mistakes={}).work(desk, desk.train()[0], key=0).answer
        'solved'
    """

    mistakes: Mapping[Mistake, float] = field(default_factory=lambda: dict(MISTAKES))
    """Rate of each kind; a kind that is not named is not made."""

    def __post_init__(self) -> None:
        """Check the kinds and rates."""
        for kind, rate in self.mistakes.items():
            checks.one_of("mistake", kind, tuple(MISTAKES))
            checks.within(f"rate of {kind!r}", rate, 0.0, 1.0)

    def work(self, desk: Desk, task: Task, key: int) -> Worked:
        """Work on a task until it ends.

        Args:
            desk: answers.
            task: one of its tasks, with a plan.
            key: where the mistakes are drawn from.

        Returns:
            What was done.
        """
        draw = keys.generator(keys.fold(key, "clerk", task.id))
        start = desk.reset(task, key)
        state, messages = start.state, [dict(start.observation.messages[-1])]
        made = list[Mistake]()
        moves = self._moves(desk, task.record, draw)
        while True:
            move = next(moves)
            if move.mistake is not None:
                made.append(move.mistake)
            went = desk.step(state, Action(text=move.text), keys.fold(key, "turn", len(messages)))
            state, told = went.state, json.loads(went.columns["call"])
            messages += conversation(told, str(went.columns["result"]), len(messages))
            if went.end != End.OPEN:
                return Worked(
                    task=task,
                    messages=tuple(messages),
                    end=went.end,
                    answer=told.get("answer"),
                    mistakes=tuple(made),
                )

    def _moves(self, desk: Desk, record: Mapping[str, Any], draw: np.random.Generator) -> Iterator[_Move]:
        needs = len(record["needs"])
        deaf = self._made("deaf", draw)
        for number in range(needs - 1):
            yield _Move(text=acts.spoken(ASKS if number == 0 else f"Thank you. {_ASKS_MORE[number % 3]}"))
        if deaf:
            yield _Move(text=acts.spoken(_SAME), mistake="deaf")
            yield _Move(text=acts.spoken(_SAME))
            yield _Move(text=acts.spoken(_SAME))
        for call in record["plan"]:
            yield from self._call(desk, call, draw)
        silent = self._made("silent", draw) and bool(record["told"])
        told = "" if silent else " ".join(map(str, record["told"]))
        yield _Move(text=acts.spoken(f"{DONE} {told}".strip()), mistake="silent" if silent else None)
        while True:
            yield _Move(text=acts.spoken("Goodbye."))

    def _call(self, desk: Desk, call: Mapping[str, Any], draw: np.random.Generator) -> Iterator[_Move]:
        name, arguments = str(call["name"]), dict(call["arguments"])
        mistake = self._of_call(draw, writes=desk.sandbox.writes(name), given=bool(arguments))
        if mistake == "dropped":
            yield _Move(text=acts.spoken("One moment, please. Is there anything else?"), mistake=mistake)
            return
        if mistake == "wrong_entity":
            first = next(iter(arguments))
            yield _Move(text=acts.written(name, {**arguments, first: _other(arguments[first])}), mistake=mistake)
            return
        if mistake == "invented_tool":
            yield _Move(text=acts.written(f"{name}_now", arguments), mistake=mistake)
        if mistake == "missing_argument":
            yield _Move(text=acts.written(name, dict(list(arguments.items())[1:])), mistake=mistake)
        yield _Move(text=acts.written(name, arguments))
        if mistake == "repeated":
            for number in range(3):
                yield _Move(text=acts.written(name, arguments), mistake=mistake if number == 0 else None)

    def _of_call(self, draw: np.random.Generator, *, writes: bool, given: bool) -> Mistake | None:
        """One number is drawn per kind, whatever can be made here."""
        found: Mistake | None = None
        for kind in _OF_CALLS:
            hit = self._made(kind, draw)
            possible = (writes or kind not in _OF_WRITES) and (given or kind == "invented_tool")
            found = kind if hit and possible and found is None else found
        return found

    def _made(self, kind: Mistake, draw: np.random.Generator) -> bool:
        return bool(draw.random() < self.mistakes.get(kind, 0.0))


_SAME = "Could you please give me your details?"
_ASKS_MORE = ("Anything else I should know?", "What should I keep in mind?", "Is there more?")


def _other(value: Any) -> Any:
    """Another entity of the same kind, which does not exist."""
    return [_other(value[0])] if isinstance(value, list) and value else f"{value}0"


def conversation(told: Mapping[str, Any], result: str, number: int) -> list[dict[str, Any]]:
    """A step as messages in the shape of chat completions.

    Args:
        told: the step's `call`, parsed.
        result: what was answered.
        number: messages before it, from which ids of calls are made.

    Returns:
        What the agent did and what answered, one message each.
    """
    thought = told.get("thought") or None
    if told["action"] == acts.CALL:
        function = {"name": told["name"], "arguments": json.dumps(told["arguments"], ensure_ascii=False)}
        called = {"id": f"call_{number}", "type": "function", "function": function}
        answer = {"role": "tool", "tool_call_id": called["id"], "content": result}
        return [{"role": "assistant", "content": thought, "tool_calls": [called]}, answer]
    words = told.get("text") or thought or ""
    return [{"role": "assistant", "content": words}, *([{"role": "user", "content": result}] if result else [])]


def pool(clerk: Clerk, desk: Desk, tasks: Sequence[Task], *, count: int, key: int) -> Iterator[Worked]:
    """Work on tasks in turn.

    Args:
        clerk: who works.
        desk: where.
        tasks: what on, one after the other, again and again.
        count: conversations.
        key: each has a key of its own, derived from this one.

    Yields:
        One conversation after the other.
    """
    for number in range(count):
        yield clerk.work(desk, tasks[number % len(tasks)], keys.fold(key, "pool", number))
