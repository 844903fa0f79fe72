"""A judge as a reward of steps, and as what chooses among siblings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, cast

import torch
from torch import Tensor

from milepost import checks, keys
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure
from milepost.rewards.judging.judge import Case, Cost, Judge, Judgement


class StepView(Protocol):
    """What a judge is shown of a step."""

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value of a step."""
        ...

    def __call__(self, forest: Forest, row: int) -> Case | float:
        """A case for the judge, or the value itself where there is nothing to judge."""
        ...


class SiblingView(Protocol):
    """What a judge is shown of siblings."""

    def __call__(self, forest: Forest, rows: Sequence[int]) -> Case:
        """A case with one candidate per row, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A judge's score of every step. Implements `part.Reward`.

    A verdict that cannot be used is a row that is not ok, with its reason; a step that the view cannot show is one too.
    """

    judge: Judge
    view: StepView
    name: str
    """Name of the columns it fills."""
    timeout_s: float = 600.0
    """Seconds that the judgement of a whole batch may take."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the limit."""
        checks.positive("timeout_s", self.timeout_s)

    @property
    def range(self) -> tuple[float, float]:
        """The view's range."""
        return self.view.range

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the given steps; all cases go to the judge together."""
        shown = [self._shown(forest, row) for row in cast("list[int]", rows.tolist())]
        asked = [one for one in shown if isinstance(one, Case)]
        verdicts = iter(self.judge.score(asked) if asked else ())
        found = [next(verdicts) if isinstance(one, Case) else _given(one) for one in shown]
        return Scores(
            values=torch.tensor([math.nan if one.answer is None else one.answer for one in found]).float(),
            ok=torch.tensor([one.answer is not None for one in found], dtype=torch.bool),
            reasons=[one.unusable for one in found],
            cost=_columns([one.cost for one in found]),
        )

    def _shown(self, forest: Forest, row: int) -> Case | float | Exception:
        try:
            return self.view(forest, row)
        except failure.SETUP_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - a step that cannot be shown is that row's failure
            return error


@dataclass(frozen=True, kw_only=True)
class BestByJudge:
    """The sibling that a judge ranks first. Implements `part.Selector`.

    Ties are broken by the key of the parent. A parent whose ranking is unusable has no row in the answer: nothing is
    chosen where nothing is known.
    """

    judge: Judge
    view: SiblingView

    def __call__(self, forest: Forest, rows: Tensor) -> Tensor:
        """One row per parent, ordered by parent; a lone child needs no judge."""
        groups: dict[int, list[int]] = {}
        for row in cast("list[int]", rows.sort().values.tolist()):
            groups.setdefault(int(forest.parent[row]), []).append(row)
        ordered = sorted(groups.items())
        several = [members for _, members in ordered if len(members) > 1]
        rankings = iter(self.judge.rank([self.view(forest, members) for members in several]) if several else ())
        chosen: list[int] = []
        for parent, members in ordered:
            places = next(rankings).answer if len(members) > 1 else (1.0,)
            if places is not None:
                first = [row for row, place in zip(members, places, strict=True) if place == min(places)]
                drawn = keys.uniform([keys.fold(int(forest["key"][parent]), "select")], 1)[0, 0]
                chosen.append(first[min(int(drawn * len(first)), len(first) - 1)])
        return torch.tensor(chosen, dtype=torch.int64)


def _given(value: float | Exception) -> Judgement[float]:
    if isinstance(value, Exception):
        return Judgement(answer=None, unusable=failure.reason_of(value))
    return Judgement(answer=float(value))


def _columns(costs: Sequence[Cost]) -> dict[str, Tensor]:
    """What each row cost. Seconds are those of the reply as it was first given, so a replayed run has equal columns."""
    return {
        "judge_calls": torch.tensor([one.calls for one in costs], dtype=torch.float64),
        "judge_tokens": torch.tensor([one.tokens for one in costs], dtype=torch.float64),
        "judge_seconds": torch.tensor([one.seconds for one in costs], dtype=torch.float64),
    }
