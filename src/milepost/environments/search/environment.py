"""Questions that are answered by searching: one action per step, its results as the next observation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from milepost import checks
from milepost.columns import End
from milepost.environments.action import ParsedAction
from milepost.environments.search.action import STOP, parse_action, split_queries
from milepost.environments.search.collection import Collection, Pool, collection
from milepost.environments.search.index import Document
from milepost.environments.search.questions import Question
from milepost.errors import SettingError
from milepost.part import Action, Observation, Start, Task, Transition

INSTRUCTION = (
    "Answer the question by searching. In each turn, write one of these and nothing after it: "
    "<search>a few words to look for</search> to see documents, or <answer>the answer alone</answer> to finish."
)
NOTHING = "nothing found"
"""Shown when no document shares a word with the query."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one may search, and how much is shown."""

    turns: int = 6
    """Actions of a trajectory; the last one that is no answer ends it with TURN_LIMIT."""
    results: int = 2
    """Documents shown per query."""
    queries: int = 1
    """Queries of one action, parted by `##`; with 1 the text between the tags is the query, whatever is in it."""
    characters: int = 4000
    """Characters shown in a trajectory; results that would go beyond are not shown, and BUDGET ends it."""
    document: int = 400
    """Characters of a document that are shown."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("turns", "results", "queries", "characters", "document"):
            checks.at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """Everything that the next step depends on."""

    gold: tuple[str, ...]
    """Ids of the task's gold documents."""
    turns: int = 0
    """Actions taken."""
    shown: int = 0
    """Characters shown since the question."""
    found: tuple[str, ...] = ()
    """Ids of the documents shown, each once, in order."""
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Search:
    """Questions over a corpus. Implements `part.TaskEnvironment`.

    Example:
        >>> environment = Search(train_size=1, hops=(2,))
        >>> task = environment.train()[0]
        >>> start = environment.reset(task, key=0)
        >>> first = task.record["plan"][0]
        >>> environment.step(start.state, Action(text=f"<search>{first}</search>"), key=0).columns["extra.gold_recall"]
        0.5
    """

    hops: tuple[int, ...] = (1, 2, 3)
    """Kinds of question: documents that an answer rests on. In equal parts, taking turns."""
    corpus: str | Collection = "countries"
    """Name of the collection, see `collection.COLLECTIONS`, or a collection of one's own."""
    limits: Limits = field(default_factory=Limits)
    train_size: int = 512
    """Tasks in the training pool."""
    held_out_size: int = 128
    """Tasks in the held-out pool."""
    instruction: str = INSTRUCTION
    """System message for policies with a chat template."""
    stop = STOP
    embedded = "embedded-search"

    def __post_init__(self) -> None:
        """Check the sizes, the hops and the name of the corpus."""
        checks.not_empty("hops", self.hops)
        for hops in self.hops:
            checks.one_of("hops", hops, (1, 2, 3))
        if len(set(self.hops)) != len(self.hops):
            raise SettingError(f"hops={self.hops!r} repeats a number: name each one once.")
        checks.at_least("train_size", self.train_size, 0)
        checks.at_least("held_out_size", self.held_out_size, 0)
        if isinstance(self.corpus, str):
            collection(self.corpus)  # a name that does not exist is found now, not at the first task

    @property
    def collection(self) -> Collection:
        """The documents, their index, and all questions."""
        return collection(self.corpus) if isinstance(self.corpus, str) else self.corpus

    def train(self) -> tuple[Task, ...]:
        """Return the training pool."""
        return self.pool("train", self.train_size)

    def held_out(self) -> tuple[Task, ...]:
        """Return the held-out pool: every answer is a fact of a country that no other pool touches."""
        return self.pool("held_out", self.held_out_size)

    def pool(self, pool: Pool, count: int) -> tuple[Task, ...]:
        """Return the first tasks of a pool, the numbers of hops taking turns.

        Args:
            pool: "demonstration" and "train" share countries but no question; "held_out" has its own countries.
            count: number of tasks.

        Returns:
            Distinct tasks; a longer pool begins with the shorter one.

        Raises:
            SettingError: there are too few questions.
        """
        turns = -(-count // len(self.hops))
        columns = [list(islice(self._tasks(pool, hops), turns)) for hops in self.hops]
        for hops, column in zip(self.hops, columns, strict=True):
            if len(column) < turns:
                raise SettingError(
                    f"The corpus {self.collection.name!r} has only {len(column)} {pool} questions of {hops} hops, "
                    f"expected {turns}: ask for fewer tasks."
                )
        return tuple(task for turn in zip(*columns, strict=True) for task in turn)[:count]

    def _tasks(self, pool: Pool, hops: int) -> Iterator[Task]:
        for one in self.collection.pool(pool, hops, results=self.limits.results):
            yield task_of(one, self.collection.name)

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - nothing here is random
        """Ask the question of the task."""
        question = str(task.record["prompt"])
        messages = ({"role": "system", "content": self.instruction}, {"role": "user", "content": question})
        observation = Observation(text=question, messages=messages if self.instruction else ())
        return Start(observation=observation, state=SearchState(gold=tuple(task.record.get("gold", ()))))

    def step(self, state: SearchState, action: Action, key: int) -> Transition:  # noqa: ARG002
        """Search, or take the answer; a malformed action is told so, and costs a turn like any other.

        The columns of the row are `call` (JSON: "action" is "search", "answer" or "malformed"; with "queries", "answer"
        or "fault"; and "thought"), `result` (the text shown), `extra_text.documents` (JSON: for each query the id and
        text of what was found), `extra.gold_recall` (share of the gold documents shown so far) and
        `cost.environment_steps`.

        Raises:
            SettingError: the trajectory has ended.
        """
        if state.ended:
            raise SettingError("This trajectory has ended: start again with reset, or step from an earlier state.")
        parsed = parse_action(action.text or "")
        state = dataclasses.replace(state, turns=state.turns + 1)
        if parsed.kind == "answer":
            done = dataclasses.replace(state, ended=True)
            columns = _columns(state, {"action": "answer", "answer": parsed.content, "thought": parsed.thought})
            return Transition(observation=None, state=done, end=End.TERMINATED, discount=0.0, columns=columns)
        if parsed.kind == "malformed":
            call = {"action": "malformed", "fault": parsed.fault, "thought": parsed.thought}
            return self._shown(state, f"malformed action: {parsed.fault}", call, [])
        return self._searched(state, parsed)

    def _searched(self, state: SearchState, parsed: ParsedAction) -> Transition:
        queries = split_queries(parsed.content, self.limits.queries)
        found = [self.collection.index.top(query, self.limits.results) for query in queries]
        ids = dict.fromkeys((*state.found, *(document.id for documents in found for document in documents)))
        state = dataclasses.replace(state, found=tuple(ids))
        text = "\n".join(self._lines(documents) for documents in found)
        call = {"action": "search", "queries": queries, "thought": parsed.thought}
        return self._shown(state, text or NOTHING, call, found)

    def _lines(self, documents: tuple[Document, ...]) -> str:
        return "\n".join(one.text[: self.limits.document] for one in documents) or NOTHING

    def _shown(
        self, state: SearchState, text: str, call: Mapping[str, Any], found: list[tuple[Document, ...]]
    ) -> Transition:
        shown = state.shown + len(text)
        end = End.OPEN
        if state.turns >= self.limits.turns:
            end = End.TURN_LIMIT
        elif shown > self.limits.characters:
            end = End.BUDGET
        columns = _columns(state, call, text, found)
        after = dataclasses.replace(state, shown=shown, ended=end != End.OPEN)
        observation = Observation(text=text) if end == End.OPEN else None
        return Transition(observation=observation, state=after, end=end, columns=columns)


def _columns(
    state: SearchState, call: Mapping[str, Any], result: str = "", found: list[tuple[Document, ...]] | None = None
) -> dict[str, Any]:
    documents = [[{"id": one.id, "text": one.text} for one in group] for group in found or []]
    recall = len(set(state.gold) & set(state.found)) / len(state.gold) if state.gold else 0.0
    return {
        "call": json.dumps(call, ensure_ascii=False),
        "result": result,
        "extra_text.documents": json.dumps(documents, ensure_ascii=False),
        "extra.gold_recall": recall,
        "cost.environment_steps": 1.0,
    }


def task_of(question: Question, corpus: str) -> Task:
    """A question as a task.

    Args:
        question: the question.
        corpus: name of its collection.

    Returns:
        A task whose record holds "prompt", "answer", "verifier", "corpus", "hops", "gold" (ids of the documents that
        the answer rests on) and "plan" (queries that find them, in order).
    """
    family = f"search_{question.hops}hop"
    record = {
        "verifier": "qa_exact",
        "source": f"milepost search, corpus {corpus}",
        "prompt": question.text,
        "answer": question.answer,
        "corpus": corpus,
        "hops": question.hops,
        "gold": list(question.gold),
        "plan": list(question.plan),
    }
    return Task(id=f"search:{corpus}:{question.id}", record=record, family=family)
