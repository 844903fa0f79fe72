"""The best of siblings, by a judge that sees what each of them did and what came back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure
from milepost.rewards.judging.judge import Case, Cost, Judge, Judgement, Rubric
from milepost.rewards.judging.reward import SiblingView
from milepost.rewards.leaf import read_leaf

BEST_STEP = Rubric(
    name="best_step",
    asks="Rank what an agent could do next, each with what came back when it was tried, from the best to the worst.",
    criteria=(
        "It uses the right tool with the right arguments.",
        "It claims nothing that the task and the results do not support.",
        "It bears on the task and follows from the steps before it.",
        "Its result is free of errors and tells something new.",
    ),
)
CAME_BACK = "\n\nCame back:\n"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Shows a judge the task, the steps so far, and each sibling with what came back.

    Implements `reward.SiblingView`.
    """

    characters: int = 2000
    """Of each result that are shown."""

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("characters", self.characters, 1)

    def __call__(self, forest: Forest, rows: Sequence[int]) -> Case:
        """A case with one candidate per row; rules find the steps themselves under "candidates" and "past"."""
        leaf = read_leaf(forest, rows[0])
        texts, results, calls = (_column(forest, name) for name in ("text", "result", "call"))
        above = cast("list[int]", forest.path(rows[0]).tolist())[1:-1]
        past = [self._told(texts[row], results[row]) for row in above]
        shown = tuple(self._told(texts[row], results[row]) for row in rows)
        steps = [_step(texts[row], results[row], calls[row]) for row in rows]
        return Case(
            rubric=BEST_STEP,
            material={"task": leaf.prompt, "steps so far": "\n\n".join(past) or "None yet."},
            candidates=shown,
            known={
                "record": leaf.record,
                "past": [_step(texts[row], results[row], calls[row]) for row in above],
                "candidates": dict(zip(shown, steps, strict=True)),
            },
        )

    def _told(self, text: str, result: str) -> str:
        return f"{text}{CAME_BACK}{result[: self.characters]}"


def _step(text: str, result: str, call: str) -> Mapping[str, Any]:
    return {"text": text, "result": result, "call": json.loads(call) if call else {}}


def _column(forest: Forest, name: str) -> list[str]:
    return [one or "" for one in forest.text(name)] if name in forest else [""] * len(forest)


@dataclass(frozen=True, kw_only=True)
class BestOfSiblings:
    """1 for the sibling that a judge ranks first, 0 for the others. Implements `part.Reward`.

    Siblings that said the same and got the same are not judged: all of them are best. A ranking that cannot be used
    leaves all siblings without a reward: no preference comes from a judge that failed.

    Source: SPORT, step verification.
    """

    judge: Judge
    view: SiblingView
    name: str = "best"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Rank the siblings among the given rows; what a ranking cost stands at its first row."""
        groups: dict[int, list[int]] = {}
        listed = cast("list[int]", rows.tolist())
        for row in sorted(listed):
            groups.setdefault(int(forest.parent[row]), []).append(row)
        found: dict[int, Judgement[float]] = {}
        asked: list[tuple[list[int], Case]] = []
        for members in groups.values():
            shown = self._shown(forest, members)
            if isinstance(shown, Case):
                asked.append((members, shown))
            else:
                found |= dict.fromkeys(members, shown)
        rankings = self.judge.rank([case for _, case in asked]) if asked else []
        for (members, _), ranking in zip(asked, rankings, strict=True):
            found |= _read(members, ranking)
        given = [found[row] for row in listed]
        return Scores(
            values=torch.tensor([math.nan if one.answer is None else one.answer for one in given]).float(),
            ok=torch.tensor([one.answer is not None for one in given], dtype=torch.bool),
            reasons=[one.unusable for one in given],
            cost={
                "judge_calls": torch.tensor([one.cost.calls for one in given], dtype=torch.float64),
                "judge_tokens": torch.tensor([one.cost.tokens for one in given], dtype=torch.float64),
                "judge_seconds": torch.tensor([one.cost.seconds for one in given], dtype=torch.float64),
            },
        )

    def _shown(self, forest: Forest, members: list[int]) -> Case | Judgement[float]:
        try:
            case = self.view(forest, members)
        except failure.SETUP_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - siblings that cannot be shown are those rows' failure
            return Judgement(answer=None, unusable=failure.reason_of(error))
        return Judgement(answer=1.0) if len(set(case.candidates)) == 1 else case


def _read(members: list[int], ranking: Judgement[tuple[float, ...]]) -> dict[int, Judgement[float]]:
    places = ranking.answer
    costs = [ranking.cost, *[Cost()] * (len(members) - 1)]
    if places is None:
        return {
            row: Judgement(answer=None, unusable=ranking.unusable, cost=cost)
            for row, cost in zip(members, costs, strict=True)
        }
    return {
        row: Judgement(answer=float(place == min(places)), cost=cost)
        for row, place, cost in zip(members, places, costs, strict=True)
    }
