"""Steps of a search agent as cases for a judge: its thought, its query, its answer.

A judge of thoughts or queries never sees the reference answer: what it knows could leak into what it rewards. Only the
judge of the final answer does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from milepost import checks
from milepost.forest import Forest
from milepost.rewards.judging.judge import Case, Judge, Rubric
from milepost.rewards.judging.reward import Judged
from milepost.rewards.leaf import read_leaf

THOUGHT = Rubric(
    name="thought",
    asks="Judge one thought of an agent that answers a question by searching: 1 for a good one, 0 for a middling one, "
    "-1 for a bad one.",
    criteria=(
        "It bears on the question and on what was found so far.",
        "It is clear, and specific about what is still missing.",
        "It brings the agent closer to the answer.",
        "It claims nothing that the question and the findings do not support.",
    ),
)
QUERY = Rubric(
    name="query",
    asks="Judge one search query of an agent that answers a question by searching: 1 for a good one, 0 for a middling "
    "one, -1 for a bad one.",
    criteria=(
        "It asks for something that the question needs and that was not found yet; repeating a search is bad.",
        "It is specific, and worded so that a search engine finds it.",
        "It does what the thought before it says.",
        "A query that brings part of what is needed is a good one.",
    ),
)
ANSWER = Rubric(
    name="answer",
    asks="Judge the final answer to a question against the reference answers: 1 if it says the same, 0 if in part, "
    "-1 if it does not.",
    criteria=("Only the core of the answer counts, not its words.",),
)


class Action(Protocol):
    """A step taken apart, such as `environments.search.action.ParsedAction`."""

    @property
    def kind(self) -> str:
        """What it is: "search", "answer", or anything else for what cannot be read."""
        ...

    @property
    def content(self) -> str:
        """The query or the answer."""
        ...

    @property
    def thought(self) -> str:
        """What stands before it."""
        ...


Parse = Callable[[str], Action]
"""Reads the text of one step."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a search agent with what it could know."""

    question: str
    record: Mapping[str, Any]
    references: tuple[str, ...]
    past: tuple[tuple[str, str], ...]
    """Queries made before, and what each found."""
    action: Action

    @property
    def known(self) -> Mapping[str, Any]:
        """What rules may read: the task's record, and the queries made before."""
        return {"record": self.record, "past": tuple(query for query, _ in self.past)}


def read_step(forest: Forest, row: int, parse: Parse) -> Step:
    """Read a step and what came before it.

    Args:
        forest: with `text`, and `result` where searches were answered.
        row: the step.
        parse: reads the text of one step.

    Returns:
        The step.

    Raises:
        FormatError: the row is a root, or a step on its path has no text.
    """
    leaf = read_leaf(forest, row)
    above = cast("list[int]", forest.path(row).tolist())[1:-1]
    texts = forest.text("text")
    results = forest.text("result") if "result" in forest else [None] * len(forest)
    past = [(parse(texts[step] or ""), results[step] or "") for step in above]
    return Step(
        question=leaf.prompt,
        record=leaf.record,
        references=leaf.references,
        past=tuple((action.content, result) for action, result in past if action.kind == "search"),
        action=parse(texts[row] or ""),
    )


def _context(step: Step, characters: int) -> str:
    told = [f"Search: {query}\nFound: {result[:characters]}" for query, result in step.past]
    return "\n\n".join(told) if told else "Nothing was searched yet."


@dataclass(frozen=True, kw_only=True)
class Thoughts:
    """Shows thoughts. A step without one is worth -1, and so is one that is neither search nor answer.

    All of that would be taken for a thought, and rambling would be paid for.
    """

    parse: Parse
    characters: int = 2000
    """Of each result that a judge is shown."""
    range = (-1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the length."""
        checks.at_least("characters", self.characters, 0)

    def __call__(self, forest: Forest, row: int) -> Case | float:
        """The thought, the question and what was found."""
        step = read_step(forest, row, self.parse)
        if not step.action.thought or step.action.kind not in ("search", "answer"):
            return -1.0
        shown = {"question": step.question, "found so far": _context(step, self.characters)}
        return Case(rubric=THOUGHT, material={**shown, "thought": step.action.thought}, known=step.known)


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Shows queries. An answer is worth 0 here; a step that is neither counts as an empty query: -1."""

    parse: Parse
    characters: int = 2000
    """Of each result that a judge is shown."""
    range = (-1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the length."""
        checks.at_least("characters", self.characters, 0)

    def __call__(self, forest: Forest, row: int) -> Case | float:
        """The query, its thought, the question and what was found."""
        step = read_step(forest, row, self.parse)
        if step.action.kind == "answer":
            return 0.0
        if step.action.kind != "search":
            return -1.0
        shown = {"question": step.question, "found so far": _context(step, self.characters)}
        return Case(
            rubric=QUERY,
            material={**shown, "thought": step.action.thought, "query": step.action.content},
            known=step.known,
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Shows final answers with the references. A step that does not answer is worth 0."""

    parse: Parse
    range = (-1.0, 1.0)

    def __call__(self, forest: Forest, row: int) -> Case | float:
        """The answer, the question and the references."""
        step = read_step(forest, row, self.parse)
        if step.action.kind != "answer":
            return 0.0
        shown = {"question": step.question, "references": "\n".join(step.references)}
        return Case(rubric=ANSWER, material={**shown, "answer": step.action.content}, known=step.known)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Shows siblings side by side, for a judge that ranks them."""

    parse: Parse
    characters: int = 2000
    """Of each result that a judge is shown."""

    def __post_init__(self) -> None:
        """Check the length."""
        checks.at_least("characters", self.characters, 0)

    def __call__(self, forest: Forest, rows: Sequence[int]) -> Case:
        """The texts of the steps, the question and what was found."""
        steps = [read_step(forest, row, self.parse) for row in rows]
        shown = {"question": steps[0].question, "found so far": _context(steps[0], self.characters)}
        texts = forest.text("text")
        return Case(
            rubric=QUERY, material=shown, candidates=tuple(texts[row] or "" for row in rows), known=steps[0].known
        )


def judged_steps(judge: Judge, parse: Parse) -> tuple[Judged, Judged, Judged]:
    """The three judged rewards of a search step.

        thought always;   query where it searches, 0 where it answers;   answer where it answers, 0 where it does not

    Args:
        judge: gives the verdicts.
        parse: reads the text of one step.

    Returns:
        Rewards named "thought", "query" and "answer", each in [-1, 1].

    Source: SLATE, the step reward.
    """
    return (
        Judged(judge=judge, view=Thoughts(parse=parse), name="thought"),
        Judged(judge=judge, view=Queries(parse=parse), name="query"),
        Judged(judge=judge, view=Answers(parse=parse), name="answer"),
    )
