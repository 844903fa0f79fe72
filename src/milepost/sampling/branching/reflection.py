"""What went wrong in a finished trajectory, where to go back to, and what to try: read strictly, never guessed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, cast, get_args

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Chat, ChatRequest
from milepost.sampling.branching.hooks import Scorer

Outcome = Literal["success", "success_but_inefficient", "failure"]
_FIELDS = ("summary", "root_cause", "outcome", "suggestion", "retry_from_step")

ADVICE = "My last attempt went wrong from here. I look at what I know so far and try another way."
"""Guidance of a reflector that follows rules."""

PROMPT = """You tried a task. Read what you did and say what went wrong.

Task: {task}
{steps}
Answer with one JSON object and nothing else. Its keys: "summary" (text), "root_cause" (text), "outcome" ("success",
"success_but_inefficient" or "failure"), "suggestion" (text: what to do instead), "retry_from_step" (a whole number: the
first step to do again, 0 is the first of {count})."""


@dataclass(frozen=True, kw_only=True)
class Reflection:
    """A verdict on a finished trajectory."""

    outcome: Outcome
    suggestion: str = ""
    """What to try instead."""
    retry_from_step: int = 0
    """How many of the first steps to keep."""
    summary: str = ""
    root_cause: str = ""

    @property
    def wants_retry(self) -> bool:
        """Whether it asks for another attempt."""
        return self.outcome != "success"


class Reflector(Protocol):
    """Looks back at finished trajectories."""

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Return the forest with `reflection` of the given leaves, and what it cost."""
        ...


def read_reflection(text: str | None, steps: int) -> Reflection | None:
    """Read a reflection: one JSON object with all its keys, and for a retry with advice and a step that exists.

    Args:
        text: what a reflector wrote; None where it wrote nothing.
        steps: steps of the trajectory, without its root.

    Returns:
        The reflection, or None if it is not valid.
    """
    try:
        found: object = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not set(_FIELDS) <= set(cast("dict[str, object]", found)):
        return None
    given = cast("dict[str, Any]", found)
    texts = [given[name] for name in ("summary", "root_cause", "suggestion")]
    if given["outcome"] not in get_args(Outcome) or not all(isinstance(one, str) for one in texts):
        return None
    if given["outcome"] == "success":
        return Reflection(outcome="success", summary=texts[0], root_cause=texts[1])
    pivot = given["retry_from_step"]
    if isinstance(pivot, bool) or not isinstance(pivot, int) or not 0 <= pivot < steps or not texts[2].strip():
        return None
    return Reflection(**{name: given[name] for name in _FIELDS})


def write_reflections(forest: Forest, rows: Tensor, texts: Sequence[str | None]) -> Forest:
    """Write down what a reflector said.

    Args:
        forest: any forest.
        rows: leaves, one per text.
        texts: what was said of each, None for nothing.

    Returns:
        The forest with `reflection`; other rows keep theirs.
    """
    held = forest.text("reflection") if "reflection" in forest else cast("list[str | None]", [None] * len(forest))
    for row, text in zip(cast("list[int]", rows.tolist()), texts, strict=True):
        held[row] = text
    return forest.with_columns({"reflection": held})


@dataclass(frozen=True, kw_only=True)
class ByReward:
    """A reflector that needs no model: the reward says whether it went wrong, the steps where.

    A trajectory whose total reward is below `passing` failed. It goes back to its first step that repeats an earlier
    call or got an empty or useless result, else to its last step. A reward that failed says nothing.

    Example:
        >>> ByReward(scorer=lambda forest, rows: forest).passing
        1.0
    """

    scorer: Scorer
    """Scores finished trajectories."""
    passing: float = 1.0
    """Total reward from which nothing is wrong."""
    advice: str = ADVICE
    useless: tuple[str, ...] = ("nothing found", "malformed action")
    """How results begin that brought nothing."""

    def __post_init__(self) -> None:
        """Check the advice."""
        checks.not_empty("advice", self.advice)

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Write `reflection`."""
        forest = self.scorer(forest, rows)
        ok, value = forest["ok.total"][rows].tolist(), forest["reward.total"][rows].tolist()
        said: list[str | None] = []
        for row, counts, reward in zip(cast("list[int]", rows.tolist()), ok, value, strict=True):
            if not counts:
                said.append(None)
                continue
            outcome: Outcome = "success" if reward >= self.passing else "failure"
            pivot = 0 if outcome == "success" else _first_wrong(forest, row, self.useless)
            said.append(json.dumps(asdict(Reflection(outcome=outcome, suggestion=self.advice, retry_from_step=pivot))))
        return write_reflections(forest, rows, said)


def _first_wrong(forest: Forest, row: int, useless: tuple[str, ...]) -> int:
    """Number of the first step with a repeated call or a useless result; the last step's where there is none."""
    steps = cast("list[int]", forest.path(row)[1:].tolist())
    calls = [_entry(forest, "call", step) for step in steps]
    results = [_entry(forest, "result", step) for step in steps]
    for place, (call, result) in enumerate(zip(calls, results, strict=True)):
        nothing = result is not None and (result == "" or result.startswith(useless))
        if nothing or (call is not None and call in calls[:place]):
            return place
    return len(steps) - 1


def _entry(forest: Forest, name: str, row: int) -> str | None:
    return cast("Any", forest.columns[name])[row].as_py() if name in forest else None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A reflector that asks a chat model for its verdict; what it says is stored as it said it.

    Source: R3L, the reflection step; the prompt is in milepost's own words.
    """

    chat: Chat
    max_tokens: int = 512

    def __post_init__(self) -> None:
        """Check the length."""
        checks.at_least("max_tokens", self.max_tokens, 1)

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Write `reflection`, and add to `cost.judge_calls` and `cost.judge_tokens`."""
        requests = [self._request(forest, row) for row in cast("list[int]", rows.tolist())]
        replies = self.chat.reply(requests)
        forest = write_reflections(forest, rows, [one.text if one.end == "stop" else None for one in replies])
        for unit, amounts in (("calls", [one.calls for one in replies]), ("tokens", [one.tokens for one in replies])):
            name = f"cost.judge_{unit}"
            spent = torch.zeros(len(forest), dtype=torch.float64)
            if name in forest:
                spent = torch.where(forest.valid(name), forest[name].double(), 0)
            forest = forest.with_columns({name: spent.index_add(0, rows, torch.tensor(amounts, dtype=torch.float64))})
        return forest

    def _request(self, forest: Forest, row: int) -> ChatRequest:
        root, *steps = cast("list[int]", forest.path(row).tolist())
        record = json.loads(_entry(forest, "record", root) or "{}")
        lines = [
            f"Step {place}: {_entry(forest, 'text', step) or ''}\nResult: {_entry(forest, 'result', step) or ''}"
            for place, step in enumerate(steps)
        ]
        text = PROMPT.format(task=record.get("prompt", ""), steps="\n".join(lines), count=len(steps))
        return ChatRequest(
            messages=({"role": "user", "content": text},), prompt="reflection@1", max_tokens=self.max_tokens
        )
