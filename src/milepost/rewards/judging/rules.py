"""Rules as a judge: deterministic functions, for tasks in which what is right is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from milepost.errors import FormatError, unknown_name
from milepost.rewards import failure
from milepost.rewards.judging.judge import Case, Judgement, check_candidates, places

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class RuleJudge:
    """One function per rubric. Implements `judge.Judge`; it costs nothing and depends on the case alone.

    A candidate is scored as the material "candidate". What a function raises, and a number outside the rubric's scale,
    makes its case unusable.

    Example:
        >>> from milepost.rewards.judging.judge import Case, Rubric
        >>> brief = Rubric(name="brief", asks="Is it brief?", scale=(("no", 0.0), ("yes", 1.0)))
        >>> judge = RuleJudge(rules={"brief": lambda case: float(len(case.material["candidate"]) < 5)})
        >>> judge.pairwise([Case(rubric=brief, material={}, candidates=("yes", "perhaps so"))])[0].answer
        1.0
    """

    rules: Mapping[str, Callable[[Case], float]]
    """Name of a rubric to the function that scores its cases."""
    texts: Mapping[str, Callable[[Case], str]] = field(default_factory=dict[str, Callable[[Case], str]])
    """Name of a rubric to the function that writes what it asks for."""
    identity: str = "rules"

    def score(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """The function's number."""
        return [_judged(lambda case=case: self._number(case)) for case in cases]

    def pairwise(self, cases: Sequence[Case]) -> Sequence[Judgement[float]]:
        """Which candidate has the larger number."""
        for case in cases:
            check_candidates(case, 2, 2)

        def preferred(first: float, second: float) -> float:
            return 0.5 if first == second else float(first > second)

        return [_judged(lambda case=case: preferred(*self._numbers(case))) for case in cases]

    def rank(self, cases: Sequence[Case]) -> Sequence[Judgement[tuple[float, ...]]]:
        """Places by number."""
        for case in cases:
            check_candidates(case, 2)
        return [_judged(lambda case=case: places(self._numbers(case))) for case in cases]

    def complete(self, cases: Sequence[Case]) -> Sequence[Judgement[str]]:
        """The text of the rubric's function."""
        return [_judged(lambda case=case: _known(self.texts, case)(case)) for case in cases]

    def _numbers(self, case: Case) -> tuple[float, ...]:
        alone = [replace(case, material={**case.material, "candidate": one}, candidates=()) for one in case.candidates]
        return tuple(map(self._number, alone))

    def _number(self, case: Case) -> float:
        low, high = case.rubric.range
        value = float(_known(self.rules, case)(case))
        if not (math.isfinite(value) and low <= value <= high):
            raise FormatError(f"the rule {case.rubric.identity} gave {value}, expected a number in [{low:g}, {high:g}]")
        return value


def _known(table: Mapping[str, Callable[[Case], Found]], case: Case) -> Callable[[Case], Found]:
    if case.rubric.name not in table:
        raise unknown_name("rule for the rubric", case.rubric.name, table)
    return table[case.rubric.name]


def _judged(act: Callable[[], Found]) -> Judgement[Found]:
    try:
        return Judgement(answer=act())
    except failure.SETUP_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - a rule that fails on a case leaves that case without a verdict
        return Judgement(answer=None, unusable=failure.reason_of(error))
