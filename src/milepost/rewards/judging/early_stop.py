"""A bonus for an answer that comes early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, cast

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Scores


class Ends(Protocol):
    """A step taken apart, as far as it matters here."""

    @property
    def kind(self) -> str:
        """What it is: "answer", or anything else for a step that goes on."""
        ...


def early_stop(step: int, *, budget: int) -> float:
    """Share of the budget that an answer leaves unused.

        bonus = max(0, B - t) / B

    Args:
        step: t, the number of the step that answers, from 1.
        budget: B, steps allowed.

    Returns:
        A number in [0, (B - 1) / B].

    Source: SLATE, the answer step's term lambda (B - t) / B, t from 1; its code counts from 0.   Limits: t = B gives 0.
    """
    return max(0, budget - step) / budget


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """The unused share of the budget where a step answers, 0 where it does not. Implements `part.Reward`.

    It does not ask whether the answer is right: give it a small weight.

    Example:
        >>> from milepost.environments.search.action import parse_action
        >>> from milepost.rewards import guard
        >>> forest = Forest.of([-1, 0, 0], {"text": ["?", "<answer>Chad</answer>", "<search>Chad</search>"]})
        >>> guard.score(EarlyStop(parse=parse_action, budget=4), forest)["reward.early_stop"].tolist()
        [nan, 0.75, 0.0]
    """

    parse: Callable[[str], Ends]
    """Reads the text of one step."""
    budget: int = 4
    """Steps allowed."""
    name: str = "early_stop"
    """Name of the columns it fills."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"
    range = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Check the budget."""
        checks.at_least("budget", self.budget, 1)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Score the given steps."""
        texts, depth = forest.text("text"), forest.depth()[rows]
        answers = [self.parse(texts[row] or "").kind == "answer" for row in cast("list[int]", rows.tolist())]
        steps = cast("list[int]", depth.tolist())
        found = [early_stop(t, budget=self.budget) if a else 0.0 for t, a in zip(steps, answers, strict=True)]
        ok = torch.ones(len(rows), dtype=torch.bool)
        return Scores(values=torch.tensor(found, dtype=torch.float32), ok=ok, reasons=[None] * len(rows))
