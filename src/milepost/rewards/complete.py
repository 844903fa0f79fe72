"""Overlong filtering: a trajectory that was cut off is no evidence against its steps, so it does not count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from milepost.columns import End
from milepost.forest import Forest
from milepost.part import Reward, Scores

TRUNCATED = (End.TURN_LIMIT, End.TOKEN_LIMIT, End.BUDGET, End.TIME_LIMIT)
"""Ends that a limit made, not the policy and not the environment."""


@dataclass(frozen=True, kw_only=True)
class Complete:
    """Another reward, which is asked about complete trajectories only; the others are not ok, "truncated".

    Implements `part.Reward`. Source: DAPO (2025), section 3.4, overlong filtering.

    Example:
        >>> from milepost.rewards import guard
        >>> from milepost.rewards.text import Format
        >>> ends = [int(End.OPEN), int(End.TERMINATED), int(End.TOKEN_LIMIT)]
        >>> forest = Forest.of([-1, 0, 0], {"text": ["?", "<answer>7</answer>", "well, "], "end": ends})
        >>> guard.score(Complete(inner=Format()), forest).text("reason.format")
        [None, None, 'truncated']
    """

    inner: Reward
    """The reward that scores what is complete; its name and range are kept."""

    @property
    def name(self) -> str:
        """Name of the inner reward."""
        return self.inner.name

    @property
    def when(self) -> Literal["step", "leaf"]:
        """When the inner reward is asked."""
        return self.inner.when

    @property
    def side(self) -> Literal["before", "after"]:
        """Side of the inner reward."""
        return self.inner.side

    @property
    def range(self) -> tuple[float, float]:
        """Range of the inner reward."""
        return self.inner.range

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Ask the inner reward about the rows that no limit cut off."""
        cut = torch.isin(forest["end"][rows], torch.tensor([int(end) for end in TRUNCATED]))
        values, ok = torch.full((len(rows),), math.nan), torch.zeros(len(rows), dtype=torch.bool)
        reasons: list[str | None] = ["truncated"] * len(rows)
        if not bool(cut.all()):
            scores = self.inner(forest, rows[~cut])
            values[~cut], ok[~cut] = scores.values.to(values.dtype), scores.ok
            places = cast("list[int]", (~cut).nonzero().flatten().tolist())
            for place, reason in zip(places, scores.reasons, strict=True):
                reasons[place] = reason
        return Scores(values=values, ok=ok, reasons=reasons)
