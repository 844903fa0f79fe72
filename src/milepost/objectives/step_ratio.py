"""The clipped surrogate with one importance ratio per step: a step is one decision, however many tokens it takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.clipped import clip_marks, clipped_surrogate
from milepost.objectives.describe import describe
from milepost.objectives.trained import held, log_ratio, trained
from milepost.part import Loss


@dataclass(frozen=True, kw_only=True)
class StepClipped:
    """Clipped surrogate in which all tokens of a step share one ratio, the step's own; steps weigh the same.

        loss = - mean over steps of clipped(rho, A),   log rho = sum over the tokens of the step of log r

    A step that several trajectories share counts once for each.

    Source: OPRL, the policy objective; PPO, arXiv:1707.06347, eq. 7, on steps.
    Limits: steps of one token give `Clipped` with `TokenMean`.

    Example:
        >>> StepClipped(low=0.2, high=0.2).high
        0.2
    """

    low: float = 0.2
    """How far the ratio may fall below 1 for bad steps, in (0, 1]."""
    high: float = 0.2
    """How far it may rise above 1 for good steps."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = trained(forest, log_prob)
        size = len(units.count)
        log_rho = log_prob.new_zeros(size).index_add(0, units.row, log_ratio(units, log_prob))
        credit = log_prob.new_zeros(size).index_copy(0, units.row[units.mask], units.advantage[units.mask])
        times = torch.where(units.count > 0, held(units.count, units.trajectories), 0)
        weight = (times / times.sum().clamp(min=1)).to(log_prob.dtype)
        loss = -(weight * clipped_surrogate(log_rho, credit, low=self.low, high=self.high)).sum()
        marks = clip_marks(log_rho, credit, low=self.low, high=self.high).named()
        clips = {f"objective/{name}": float((weight * mark).sum()) for name, mark in marks.items()}
        return Loss(loss=loss, metrics={**describe(loss, units, log_prob, {}), **clips})
