"""Rules that say how good a step was, where the task's record says what is right: a judge that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from milepost.errors import FormatError
from milepost.rewards.judging.gold import FindIn, score_answer, score_query
from milepost.rewards.judging.judge import Case
from milepost.rewards.judging.rules import RuleJudge

Step = Mapping[str, Any]
"""A step with "text", "result" and "call", as `siblings.Tried` shows it."""


def score_planned(step: Step, past: Sequence[Step], plan: Sequence[Mapping[str, Any]]) -> float:
    """Score a step of an agent whose task has a reference plan of calls.

        1 for a call of the plan that was not made yet, and for words once all were made;  -1 for a call that failed or
        was made before, and for what is malformed;  else 0

    Args:
        step: the step.
        past: steps before it.
        plan: calls with "name" and "arguments".

    Returns:
        -1, 0 or 1.

    Source: milepost's stand-in for SPORT's verifier: the right tool, the right arguments, nothing twice, no errors.
    """
    call = step["call"]
    if call.get("action") == "say":
        made = [_called(one) for one in past]
        return float(all((one["name"], one["arguments"]) in made for one in plan))
    if call.get("action") != "call" or call.get("failed") or _called(step) in [_called(one) for one in past]:
        return -1.0
    return float(any(_called(step) == (one["name"], one["arguments"]) for one in plan))


def _called(step: Step) -> tuple[Any, Any]:
    return step["call"].get("name"), step["call"].get("arguments")


@dataclass(frozen=True, kw_only=True)
class KnownStep:
    """Rule for the rubric "best_step": by the gold documents of a search task, or by the plan of a service desk.

    A search is scored by what it finds, an answer by the task's verifier, what is malformed is worst.
    """

    find: Callable[[str, str], Sequence[str]]
    """Ids of the documents that a query finds in a corpus."""

    def __call__(self, case: Case) -> float:
        """Score one candidate."""
        record = cast("Mapping[str, Any]", case.known["record"])
        step = cast("Mapping[str, Step]", case.known["candidates"])[case.material["candidate"]]
        past = cast("Sequence[Step]", case.known["past"])
        if "gold" in record and "corpus" in record:
            return self._searched(record, step, past)
        if record.get("plan") and isinstance(record["plan"][0], dict):
            return score_planned(step, past, record["plan"])
        raise FormatError("the record holds no 'gold' documents and no 'plan' of calls: use a judge that asks a model")

    def _searched(self, record: Mapping[str, Any], step: Step, past: Sequence[Step]) -> float:
        call, corpus = step["call"], str(record["corpus"])
        if call.get("action") == "answer":
            return score_answer(record, str(call["answer"]))
        if call.get("action") != "search":
            return -1.0
        seen = [found for one in past for query in one["call"].get("queries", ()) for found in self.find(corpus, query)]
        found = [one for query in call["queries"] for one in self.find(corpus, query)]
        return score_query(found, cast("Sequence[str]", record["gold"]), seen)


def known_steps_judge(corpora: Callable[[str], Any], results: int = 2) -> RuleJudge:
    """The judge of siblings where the task's record says what is right.

    Args:
        corpora: gives a corpus by name.
        results: documents that a search shows.

    Returns:
        A judge for the rubric `siblings.BEST_STEP`.
    """
    return RuleJudge(rules={"best_step": KnownStep(find=FindIn(corpora=corpora, results=results))})
