"""Rules for a search agent whose tasks name the documents that their answer rests on: a judge that needs no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from milepost import checks
from milepost.errors import FormatError
from milepost.rewards.judging.judge import Case
from milepost.rewards.judging.rules import RuleJudge
from milepost.rewards.verifier import verify

Find = Callable[[str, str], Sequence[str]]
"""Ids of the documents that a query finds, best first: called with the name of the corpus and the query."""

_WORD = re.compile(r"\w+")
_SMALL = re.compile(
    r"a|an|and|are|as|at|be|by|do|does|for|from|has|have|i|in|is|it|of|on|or|so|that|the|this|to|was|what|which|who|with"
)


def score_query(found: Iterable[str], gold: Sequence[str], seen: Iterable[str]) -> float:
    """Score a query by what it finds.

        1 if it finds a gold document that was not seen;  else -1 if it finds nothing new;  else 0

    Args:
        found: ids of the documents that it finds.
        gold: ids of the documents that the answer rests on.
        seen: ids of the documents that earlier queries found.

    Returns:
        -1, 0 or 1.

    Source: milepost's stand-in for SLATE's query judge: redundant queries are bad, partial progress is good.
    """
    new = set(found) - set(seen)
    return 1.0 if new & set(gold) else 0.0 if new else -1.0


def score_thought(thought: str, known: str) -> float:
    """Score a thought by how much of it is about what is known.

        share of its content words that stand in the question or the findings: 1 from a half on, -1 for none, else 0

    Args:
        thought: what was thought.
        known: the question and the findings; the reference answer is not among them.

    Returns:
        -1, 0 or 1; -1 for a thought without content words.

    Source: milepost's stand-in for SLATE's thought judge: relevance and faithfulness to the context.
    """
    words = _content(thought)
    shared = len(words & _content(known))
    return -1.0 if not shared else 1.0 if 2 * shared >= len(words) else 0.0


def score_answer(record: Mapping[str, Any], answer: str) -> float:
    """Score an answer by the task's verifier.

        1 for full marks;  0 for part marks, or if it holds every word of a reference;  else -1

    Args:
        record: the task's record.
        answer: what was answered.

    Returns:
        -1, 0 or 1.

    Raises:
        FormatError: the record cannot be scored.

    Source: milepost's stand-in for SLATE's answer judge.
    """
    marks = verify(record, answer)
    if marks >= 1.0:
        return 1.0
    reference = _content(str(record.get("answer", "")))
    return 0.0 if marks > 0 or (reference and reference <= _content(answer)) else -1.0


@dataclass(frozen=True, kw_only=True)
class FindIn:
    """Searches a corpus by its name, as the environment itself does. Implements `Find`."""

    corpora: Callable[[str], Any]
    """Gives a corpus by name, such as `environments.search.collection.collection`; asked when a query is judged."""
    results: int = 2
    """Documents that a search shows."""

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("results", self.results, 1)

    def __call__(self, corpus: str, query: str) -> Sequence[str]:
        """Ids of what the query finds; an empty query finds nothing."""
        return [str(found.id) for found in self.corpora(corpus).index.top(query, self.results)] if query else []


@dataclass(frozen=True, kw_only=True)
class QueryRule:
    """See `score_query`; for the rubric "query".

    Example:
        >>> from milepost.rewards.judging.search_steps import QUERY
        >>> rule = QueryRule(find=lambda corpus, query: ("d1",) if "Chad" in query else ())
        >>> known = {"record": {"corpus": "facts", "gold": ["d1"]}, "past": ()}
        >>> rule(Case(rubric=QUERY, material={"query": "capital of Chad"}, known=known))
        1.0
    """

    find: Find

    def __call__(self, case: Case) -> float:
        """Score the query by what it finds."""
        record = cast("Mapping[str, Any]", case.known["record"])
        if "gold" not in record or "corpus" not in record:
            raise FormatError("the record names no 'corpus' with 'gold' documents: use a judge that asks a model")
        corpus = str(record["corpus"])
        seen = {found for query in cast("Sequence[str]", case.known["past"]) for found in self.find(corpus, query)}
        return score_query(self.find(corpus, case.material["query"]), cast("Sequence[str]", record["gold"]), seen)


def thought_rule(case: Case) -> float:
    """See `score_thought`; for the rubric "thought". It reads nothing but what a model judge is shown."""
    return score_thought(case.material["thought"], f"{case.material['question']} {case.material['found so far']}")


def answer_rule(case: Case) -> float:
    """See `score_answer`; for the rubric "answer"."""
    return score_answer(cast("Mapping[str, Any]", case.known["record"]), case.material["answer"])


def gold_judge(corpora: Callable[[str], Any], results: int = 2) -> RuleJudge:
    """The judge of a search environment whose tasks name their gold documents.

    Args:
        corpora: gives a corpus by name.
        results: documents that a search shows.

    Returns:
        A judge for the rubrics of `search_steps`.
    """
    query = QueryRule(find=FindIn(corpora=corpora, results=results))
    return RuleJudge(rules={"query": query, "thought": thought_rule, "answer": answer_rule})


def _content(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.lower()) if not _SMALL.fullmatch(word)}
