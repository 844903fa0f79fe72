"""A scripted searcher: it follows a task's plan, with planted mistakes of known kinds and rates.

What it does is a demonstration to learn from. Its mistakes are those that a policy can be taught to avoid: the right
action was possible each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from milepost import checks, keys
from milepost.columns import End
from milepost.environments.search.environment import Search
from milepost.part import Action, Task

Mistake = Literal["early", "vague", "confused", "misread", "repeated", "malformed"]
"""early: answers with what was found so far. vague: searches without the name. confused: searches for another
attribute. misread: answers from another document. repeated: searches for the same again. malformed: closes the wrong
tag."""

MISTAKES: Mapping[Mistake, float] = {
    "early": 0.15,
    "vague": 0.08,
    "confused": 0.2,
    "misread": 0.3,
    "repeated": 0.06,
    "malformed": 0.04,
}
"""Rate of each kind, per action in which it is possible."""

_ATTRIBUTES = ("capital", "currency", "internet domain", "phone code", "neighbours", "continent")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action of a demonstration, what it led to, and the mistake in it, if any."""

    action: str
    observation: str | None
    mistake: Mistake | None = None


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A worked task."""

    task: Task
    steps: tuple[Step, ...]
    end: End
    answer: str | None
    """The answer given; None where none was."""

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Kinds of the mistakes made, in order."""
        return tuple(step.mistake for step in self.steps if step.mistake is not None)


@dataclass(kw_only=True)
class _Notes:
    """How far a demonstration is: the plan's next step, and what the last search showed."""

    place: int = 0
    seen: Sequence[str] = ()
    """Lines of the last results."""
    last: str = ""
    """The last search."""
    astray: bool = False
    """Whether it takes what the last search showed for the answer."""


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """Follows the plan of a task and answers; each action may hold one planted mistake.

    A mistake that ends the trajectory (early, misread) ends it wrongly. After a vague, repeated or malformed action it
    goes on with the plan; after a confused one it goes on in one case of two, else it answers with what it saw.

    Example:
        >>> searcher = Searcher(mistakes={})
        >>> environment = Search(train_size=1)
        >>> task = environment.train()[0]
        >>> searcher.demonstrate(environment, task, key=0).answer == task.record["answer"]
        True
    """

    mistakes: Mapping[Mistake, float] = field(default_factory=lambda: dict(MISTAKES))
    """Rate of each kind; a kind that is not named is not made."""

    def __post_init__(self) -> None:
        """Check the kinds and rates."""
        for kind, rate in self.mistakes.items():
            checks.one_of("mistake", kind, tuple(MISTAKES))
            checks.within(f"rate of {kind!r}", rate, 0.0, 1.0)

    def demonstrate(self, environment: Search, task: Task, key: int) -> Demonstration:
        """Work on a task until it ends.

        Args:
            environment: answers the searches.
            task: one of its tasks.
            key: where the mistakes are drawn from.

        Returns:
            What was done.
        """
        draw = keys.generator(keys.fold(key, "searcher", task.id))
        state, notes, steps = environment.reset(task, key).state, _Notes(), list[Step]()
        while True:
            action, mistake = self._act(task, notes, draw)
            went = environment.step(state, Action(text=action), key)
            shown = None if went.observation is None else went.observation.text
            steps.append(Step(action=action, observation=shown, mistake=mistake))
            if shown is not None and mistake != "malformed":
                notes.last, notes.seen = action, shown.split("\n")
            if went.end != End.OPEN:
                answer = action.partition("<answer>")[2].removesuffix("</answer>") or None
                given = answer if went.end == End.TERMINATED else None
                return Demonstration(task=task, steps=tuple(steps), end=went.end, answer=given)
            state = went.state

    def _act(self, task: Task, notes: _Notes, draw: np.random.Generator) -> tuple[str, Mistake | None]:
        plan: Sequence[str] = task.record["plan"]
        if notes.astray:
            return _answer(_body(notes.seen[0])), None
        finished = notes.place == len(plan)
        if self._makes("malformed", draw):
            right = _answer(task.record["answer"]) if finished else _search(plan[notes.place])
            return _swapped(right), "malformed"
        if finished:
            if len(notes.seen) > 1 and self._makes("misread", draw):
                return _answer(_body(notes.seen[int(draw.integers(1, len(notes.seen)))])), "misread"
            return _answer(task.record["answer"]), None
        return self._search(plan, notes, draw)

    def _search(self, plan: Sequence[str], notes: _Notes, draw: np.random.Generator) -> tuple[str, Mistake | None]:
        wanted = plan[notes.place]
        attribute, of, name = wanted.partition(" of ")
        if notes.place > 0 and self._makes("repeated", draw):
            return notes.last, "repeated"
        if notes.place > 0 and self._makes("early", draw):
            return _answer(_body(notes.seen[0]) if notes.seen else name), "early"
        if of and self._makes("vague", draw):
            return _search(attribute), "vague"
        if of and self._makes("confused", draw):
            other = [one for one in _ATTRIBUTES if one != attribute]
            notes.astray = draw.random() < 0.5
            return _search(f"{other[int(draw.integers(len(other)))]} of {name}"), "confused"
        notes.place += 1
        return _search(wanted), None

    def _makes(self, kind: Mistake, draw: np.random.Generator) -> bool:
        return float(draw.random()) < self.mistakes.get(kind, 0.0)


def _search(query: str) -> str:
    return f"<search>{query}</search>"


def _answer(text: str) -> str:
    return f"<answer>{text}</answer>"


def _swapped(action: str) -> str:
    """An action that the other tag closes."""
    opened, _, closed = action.rpartition("</")
    return f"{opened}</{'answer' if closed == 'search>' else 'search'}>"


def _body(line: str) -> str:
    """What a document says, without its title; the first entry of a list."""
    return line.partition(": ")[2].split(", ")[0] or line
