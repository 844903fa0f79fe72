"""An agent with tools and a user: it calls a tool or says something, and is answered."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from milepost import checks
from milepost.columns import End
from milepost.environments.sandbox import action as acts
from milepost.environments.sandbox.sandbox import Sandbox
from milepost.environments.sandbox.users import AGENT, USER, Said, Scripted, User
from milepost.errors import SettingError
from milepost.part import Action, Observation, Start, Task, Transition


@dataclass(frozen=True, kw_only=True)
class DeskState:
    """Everything that the next step depends on. It is text and numbers, so that it can be stored anywhere."""

    record: str
    """JSON of the task."""
    snapshot: str
    """State of the sandbox."""
    said: tuple[Said, ...] = ()
    """What agent and user said to each other."""
    turns: int = 0
    """Steps taken."""
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Tasks of a sandbox with a user. Implements `part.TaskEnvironment`.

    The user leaves when content, and the checks of those who made the tasks say whether it was solved. A trajectory
    that runs out of turns was not.

    Example:
        >>> from milepost.environments.sandbox.tau2 import Tau2
        >>> desk = Desk(sandbox=Tau2(domain="airline"), train_size=1)
        >>> start = desk.reset(desk.train()[0], key=0)
        >>> went = desk.step(start.state, Action(text=acts.written("fly", {})), key=0)
        >>> went.columns["result"]
        "Error: Tool 'fly' not found."
    """

    sandbox: Sandbox
    user: User = field(default_factory=Scripted)
    turns: int = 30
    """Steps of a trajectory; the last one that does not end it ends it with TURN_LIMIT."""
    train_size: int = 64
    """Tasks in the training pool, as far as there are."""
    held_out_size: int = 32
    """Tasks in the held-out pool, as far as there are."""
    stop = acts.STOP
    embedded = "embedded"

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.at_least("turns", self.turns, 1)
        checks.at_least("train_size", self.train_size, 0)
        checks.at_least("held_out_size", self.held_out_size, 0)

    def train(self) -> tuple[Task, ...]:
        """Return the training pool."""
        return tuple(self.sandbox.tasks("train"))[: self.train_size]

    def held_out(self) -> tuple[Task, ...]:
        """Return the held-out pool, which shares no task with the other."""
        return tuple(self.sandbox.tasks("held_out"))[: self.held_out_size]

    def reset(self, task: Task, key: int) -> Start:
        """The user comes and says something.

        Raises:
            SettingError: the user has nothing to say.
        """
        opening = self.user.reply(task.record, (), key)
        if opening.failed or not opening.text:
            raise SettingError(f"The user of {task.id} says nothing at all: {opening.failed or 'it has no needs'}.")
        state = DeskState(
            record=json.dumps(task.record, sort_keys=True, ensure_ascii=False),
            snapshot=self.sandbox.start(task.record),
            said=((USER, opening.text),),
        )
        messages = (
            {"role": "system", "content": self.instructions()},
            {"role": "user", "content": opening.text},
        )
        return Start(observation=Observation(text=opening.text, messages=messages), state=state)

    def instructions(self) -> str:
        """System message: the rules, the tools and how to write."""
        tools = "\n".join(json.dumps(one["function"], ensure_ascii=False) for one in self.sandbox.signatures())
        return f"{self.sandbox.policy}\n\nTools:\n{tools}\n\n{acts.INSTRUCTION}"

    def step(self, state: DeskState, action: Action, key: int) -> Transition:
        """Call a tool or talk to the user; what is malformed is told so, and costs a turn like any other.

        The columns are `call` (JSON: "action" is "call", "say" or "malformed"; with "name" and "arguments", "text" or
        "fault"; "thought"; "failed" of a call; and where the trajectory ended "answer", "solved" or what is wrong, and
        "safe"), `result` (what the tool or the user said), `extra.failed` (1 for a call that failed), `extra.safe`
        and `cost.environment_steps`.

        Raises:
            SettingError: the trajectory has ended.
        """
        if state.ended:
            raise SettingError("This trajectory has ended: start again with reset, or step from an earlier state.")
        act = acts.read(action.text or "")
        state = dataclasses.replace(state, turns=state.turns + 1)
        told: dict[str, Any] = {"action": act.kind, "thought": act.thought}
        if act.kind == acts.CALL:
            answer = self.sandbox.call(state.snapshot, act.tool, act.arguments)
            told |= {"name": act.tool, "arguments": act.arguments, "failed": answer.failed}
            return self._went(dataclasses.replace(state, snapshot=answer.snapshot), told, answer.text, End.OPEN)
        if act.kind == acts.SAY:
            return self._heard(state, act.text, {**told, "text": act.text}, key)
        return self._went(state, {**told, "fault": act.fault}, f"malformed action: {act.fault}", End.OPEN)

    def _heard(self, state: DeskState, text: str, told: Mapping[str, Any], key: int) -> Transition:
        said = (*state.said, (AGENT, text))
        reply = self.user.reply(json.loads(state.record), said, key)
        state = dataclasses.replace(state, said=(*said, (USER, reply.text)))
        if reply.failed:
            return self._went(state, {**told, "fault": f"no user: {reply.failed}"}, "", End.ERROR)
        return self._went(state, told, reply.text, End.TERMINATED if reply.stops else End.OPEN)

    def _went(self, state: DeskState, told: Mapping[str, Any], text: str, end: End) -> Transition:
        if end == End.OPEN and state.turns >= self.turns:
            end = End.TURN_LIMIT
        columns: dict[str, Any] = {"result": text, "cost.environment_steps": 1.0, "extra.safe": None}
        columns["extra.failed"] = float(bool(told.get("failed")))
        if end in (End.TERMINATED, End.TURN_LIMIT):
            spoken = [words for who, words in state.said if who == AGENT]
            verdict = self.sandbox.verdict(json.loads(state.record), state.snapshot, spoken)
            columns["extra.safe"] = float(verdict.safe)
            told = {**told, "safe": verdict.safe}
            if end == End.TERMINATED:
                told["answer"] = "solved" if verdict.solved else verdict.reason or "not solved"
        return Transition(
            observation=Observation(text=text) if end == End.OPEN else None,
            state=dataclasses.replace(state, ended=end != End.OPEN),
            end=end,
            discount=0.0 if end == End.TERMINATED else 1.0,
            columns={"call": json.dumps(told, ensure_ascii=False), **columns},
        )
