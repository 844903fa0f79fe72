"""Scores trajectories with a grounded program in the jail, one call each; and what a score is worth, by AUC.

Source: the clamp and the probes are decisions of milepost's specification of Text2Reward; AUC is Mann and Whitney 1947.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost.errors import ShapeError
from milepost.programs.program import Jail, Program

WORST = -10.0
"""What a step counts as for which a program has no finite number."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a program said of a trajectory."""

    value: Float[Tensor, " t"] = field(repr=False)
    """One number per step."""
    clamped: int
    """Steps that count as `WORST`."""
    reason: str = ""
    """Why the program did not answer at all; then every step counts as `WORST`."""


def scored(program: Program, jail: Jail, episodes: Sequence[tuple[Tensor, Tensor]]) -> list[Scored]:
    """Run a program over trajectories.

    Args:
        program: see `binding.bound`.
        jail: where it runs.
        episodes: observations arrived at (t, o) and actions (t, a) of each.

    Returns:
        One result per trajectory; a failure costs its own trajectory only.
    """
    inputs = [{"observations": seen.tolist(), "actions": taken.tolist()} for seen, taken in episodes]
    return [
        _read(answer.value, answer.reason, len(seen))
        for answer, (seen, _) in zip(jail.run(program, inputs), episodes, strict=True)
    ]


def _read(value: object, reason: str | None, steps: int) -> Scored:
    if reason is None and not (isinstance(value, list) and len(cast("list[object]", value)) == steps):
        reason = "reward_error: the program did not answer with one number per step"
    if reason is not None:
        return Scored(value=torch.full((steps,), WORST), clamped=steps, reason=reason)
    numbers = cast("list[object]", value)
    known = [isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in numbers]
    found = [float(cast("float", one)) if fine else WORST for one, fine in zip(numbers, known, strict=True)]
    return Scored(value=torch.tensor(found), clamped=known.count(False))


def auc(score: Float[Tensor, " n"], good: Bool[Tensor, " n"]) -> float:
    """Chance that a good trajectory scores above a bad one.

        AUC = mean over pairs of [s_good > s_bad] + [s_good = s_bad] / 2

    Args:
        score: one number per trajectory.
        good: whether it succeeded.

    Returns:
        In [0, 1]; NaN where all are good or none is.

    Raises:
        ShapeError: lengths differ.

    Limits: a constant score gives 0.5; the opposite score gives 1 - AUC.

    Example:
        >>> auc(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([False, True, False]))
        1.0
    """
    if score.shape != good.shape:
        raise ShapeError(f"auc got {len(score)} scores and {len(good)} labels, expected equally many.")
    above = score[good][:, None] - score[~good][None, :]
    return float(((above > 0).double() + (above == 0).double() / 2).mean()) if above.numel() else math.nan
