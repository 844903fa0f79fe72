"""The clipped surrogate with one importance ratio per trajectory (GSPO)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.objectives.clipped import clip_marks, clipped_surrogate
from milepost.objectives.describe import describe
from milepost.objectives.trained import Trained, log_ratio, trained
from milepost.part import Loss
from milepost.ragged import Ragged


def sequence_log_ratio(
    log_r: Float[Tensor, " u"], row: Int[Tensor, " u"], count: Int[Tensor, " n"], trajectories: Ragged
) -> Float[Tensor, " l"]:
    """Logarithm of the length-normalised importance ratio of each trajectory.

        log s_l = sum over the trained units of l of log r / T_l,   T_l = their number

    Args:
        log_r: logarithm of the ratio of each unit, 0 where it is not trained.
        row: row that owns each unit.
        count: trained units of each row.
        trajectories: rows of each trajectory; a shared row is summed once and read by all that hold it.

    Returns:
        Nats per unit, one number per trajectory; carries the gradient.

    Source: GSPO, arXiv:2507.18071, eq. 7.
    """
    step = log_r.new_zeros(len(count)).index_add(0, row, log_r)
    total = log_r.new_zeros(len(trajectories)).index_add(0, trajectories.row, step[trajectories.values])
    return total / lengths(count, trajectories).clamp(min=1)


def lengths(count: Int[Tensor, " n"], trajectories: Ragged) -> Int[Tensor, " l"]:
    """Trained units of each trajectory.

        T_l = sum over the rows i of l of count_i

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory.

    Returns:
        One whole number per trajectory.
    """
    total = torch.zeros(len(trajectories), dtype=torch.int64)
    return total.index_add_(0, trajectories.row, count[trajectories.values])


@dataclass(frozen=True, kw_only=True)
class SequenceClipped:
    """Clipped surrogate in which all tokens of a trajectory share one ratio; trajectories weigh the same.

        loss = -1/N sum_l 1/T_l sum over units k of l of clipped(s_l, A_k)

    With one credit per trajectory this is GSPO; with a credit per step each token keeps that of its step.

    Source: GSPO, arXiv:2507.18071, eq. 5.   Limits: on answers of one token it is `Clipped` with `SequenceMean`.

    Example:
        >>> SequenceClipped().high
        0.0004
    """

    low: float = 3e-4
    """How far the ratio may fall below 1 for bad steps; smaller than for tokens, because it is a mean over tokens."""
    high: float = 4e-4
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = trained(forest, log_prob)
        paths = units.trajectories
        log_s = sequence_log_ratio(log_ratio(units, log_prob), units.row, units.count, paths)[paths.row]
        credit = _of_rows(units)[paths.values]
        share = _shares(units, log_prob)
        gain = clipped_surrogate(log_s, credit, low=self.low, high=self.high)
        loss = -(share * gain).sum()
        marks = clip_marks(log_s, credit, low=self.low, high=self.high).named()
        clips = {f"objective/{name}": float((share * mark).sum()) for name, mark in marks.items()}
        return Loss(loss=loss, metrics={**describe(loss, units, log_prob, {}), **clips})


def _of_rows(units: Trained) -> Tensor:
    credit = units.advantage.new_zeros(len(units.count))
    return credit.index_copy(0, units.row[units.mask], units.advantage[units.mask])


def _shares(units: Trained, like: Tensor) -> Tensor:
    """Weight of each (trajectory, row): its units over those of the trajectory and over the number of trajectories."""
    paths = units.trajectories
    total = lengths(units.count, paths)[paths.row].double().clamp(min=1) * max(len(paths), 1)
    return (units.count[paths.values] / total).to(like.dtype)
