"""Preferences between siblings as credit: the best is preferred to those that are clearly different from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from milepost import checks, segments
from milepost.columns import End
from milepost.forest import Forest

Similarity = Callable[[str, str], float]
"""How alike two steps are, in [0, 1]: called with the rejected and the chosen one."""


def unlike(_one: str, _other: str) -> float:
    """Nothing is alike: every pair counts."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Preferred:
    """Credit 1 for the best of siblings, -1 for those that it is preferred to, 0 for all others.

        A_i = 1 if r_i = max over the judged siblings and i went on;  -1 if r_i < max and i passes the filter;  else 0

    A sibling passes if it is malformed or its result says "error", of which the first `errors` count, or if it is less
    than `similar` like the best. Nobody has credit where siblings were not judged, or where all are equal.

    Source: SPORT, the formatter of the preference pairs.

    Example:
        >>> forest = Forest.of([-1, 0, 0], {"reward.total": [None, 1.0, 0.0], "ok.total": [False, True, True]})
        >>> Preferred()(forest)["advantage"].tolist()
        [0.0, 1.0, -1.0]
    """

    similarity: Similarity = unlike
    similar: float = 0.3
    """Likeness from which a sibling teaches nothing."""
    errors: int = 2
    """Siblings with an error that are kept however alike they are, for each parent."""
    reads = ("reward.total", "ok.total", "text", "result", "end")
    writes = ("advantage",)

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.within("similar", self.similar, 0.0, 1.0)
        checks.at_least("errors", self.errors, 0)

    def __call__(self, forest: Forest) -> Forest:
        """Write the credit."""
        count = len(forest)
        below = forest.parent >= 0
        ok = forest["ok.total"] & forest.valid("ok.total") & forest.valid("reward.total") & below
        value = torch.where(ok, forest["reward.total"].double(), 0)
        ok = ok & value.isfinite()
        group = forest.parent.clamp(min=0)
        best = segments.group_max(value, group, max(count, 1), ok)[group]
        went_on = forest["end"] != int(End.PRUNED) if "end" in forest else torch.ones_like(ok)
        chosen = ok & went_on & (value == best)
        worse = ok & (value < best)
        passed = self._passed(forest, chosen, worse)
        alone = ~torch.isin(group, group[passed])
        credit = torch.where(chosen & ~alone, 1.0, 0.0) - passed.double()
        return forest.with_columns({"advantage": credit.float()})

    def _passed(self, forest: Forest, chosen: Tensor, worse: Tensor) -> Tensor:
        texts, results = (_texts(forest, name) for name in ("text", "result"))
        best = {int(forest.parent[row]): texts[row] for row in reversed(_rows(chosen))}
        told: dict[int, int] = {}
        found = torch.zeros(len(forest), dtype=torch.bool)
        for row in _rows(worse):
            above = int(forest.parent[row])
            if above not in best:
                continue
            faulty = is_error(results[row])
            told[above] = told.get(above, 0) + faulty
            kept = faulty and told[above] <= self.errors
            found[row] = kept or self.similarity(texts[row], best[above]) < self.similar
        return found


def is_error(result: str) -> bool:
    """Whether what came back says that something went wrong.

    Args:
        result: of a step.

    Returns:
        True for a malformed action, and where the word "error" stands in it.
    """
    return "error" in result.lower() or result.startswith("malformed action")


def _texts(forest: Forest, name: str) -> list[str]:
    return [one or "" for one in forest.text(name)] if name in forest else [""] * len(forest)


def _rows(marked: Tensor) -> list[int]:
    return cast("list[int]", marked.nonzero().squeeze(1).tolist())
