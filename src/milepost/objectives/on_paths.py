"""Losses on trajectories that share steps, when each trajectory has a credit of its own: that of its leaf.

A step that several trajectories share is stored and computed once, but may be good for one of them and bad for another.
The clipped surrogate is linear in positive and in negative credit, so two sums per step are all that the loss needs:

    sum over l that hold i of w_l clipped(r, A_l) = up_i min(r, 1 + high) + down_i max(r, 1 - low)
    up_i = sum of w_l max(A_l, 0),   down_i = sum of w_l min(A_l, 0)

Loss and gradient are those of the same trajectories laid out one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks
from milepost.backup import at_or_above
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.objectives.clipped import clip_marks, clipped_surrogate
from milepost.objectives.describe import describe
from milepost.objectives.normalise import TokenMean
from milepost.objectives.sequence_ratio import sequence_log_ratio
from milepost.objectives.trained import Normalise, Trained, held, log_ratio, trained
from milepost.part import Loss
from milepost.ragged import Ragged


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditSums:
    """Weighted credit of the trajectories that hold each row, the good and the bad apart; float64."""

    up: Float[Tensor, " n"]
    """At least 0."""
    down: Float[Tensor, " n"]
    """At most 0."""


def credit_sums(
    credit: Float[Tensor, " l"], weight: Float[Tensor, " e"], trajectories: Ragged, rows: int
) -> CreditSums:
    """Sum the credit of trajectories over the rows that they hold.

        up_i = sum over l that hold i of weight_(l, i) max(credit_l, 0);  down_i the same with min

    Args:
        credit: one number per trajectory.
        weight: one number per trajectory and row on it, as `trajectories.values` has them.
        trajectories: rows of each trajectory.
        rows: number of rows of the forest.

    Returns:
        Two sums per row, in units of the credit.

    Source: milepost; the surrogate that is linear in them is PPO's, arXiv:1707.06347, eq. 7.
    """
    part = weight.double() * credit.double()[trajectories.row]
    zero = torch.zeros(rows, dtype=torch.float64)
    up, down = (zero.index_add(0, trajectories.values, one) for one in (part.clamp(min=0), part.clamp(max=0)))
    return CreditSums(up=up, down=down)


def entry_weights(count: Int[Tensor, " n"], trajectories: Ragged, normalise: Normalise) -> Float[Tensor, " e"]:
    """Weight of a unit in each trajectory that has it: what the normaliser gives when no row is shared.

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory.
        normalise: weight of a unit by its row.

    Returns:
        float64, one number per trajectory and row on it. Summed over the trajectories that hold a row it is the
        normaliser's own weight of the row.
    """
    every = torch.arange(len(trajectories.values))
    return normalise(count[trajectories.values], Ragged(every, trajectories.offsets))


def on_paths(forest: Forest, log_prob: Float[Tensor, " u"]) -> Trained:
    """The units of a loss in which a trajectory counts when its leaf has valid credit, whatever the rows above have.

    Args:
        forest: with valid `advantage` at the leaves that count.
        log_prob: log-probability of every unit under the policy that is trained.

    Returns:
        The units; `advantage` is that of the leaves, and 0 above them.

    Raises:
        ColumnError: the forest has no `advantage`, or lacks a column that `trained` needs.
    """
    if "advantage" not in forest:
        raise ColumnError(f"An objective needs column 'advantage', but the forest has: {', '.join(forest.names)}.")
    ends = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True) & forest.valid("advantage")
    credit = torch.where(ends, forest["advantage"], 0)
    spread = forest.with_columns({"advantage": credit}).with_valid("advantage", at_or_above(ends, forest.parent))
    return trained(spread, log_prob)


def leaf_credit(forest: Forest, trajectories: Ragged) -> Float[Tensor, " l"]:
    """Credit of each trajectory: that of its leaf.

    Args:
        forest: with `advantage`.
        trajectories: rows of each trajectory, the leaf last.

    Returns:
        One number per trajectory.
    """
    return forest["advantage"][trajectories.values[trajectories.offsets[1:] - 1]]


@dataclass(frozen=True, kw_only=True)
class ClippedOnPaths:
    """`Clipped`, or with a bound `DualClipped`, in which every token has the credit of the leaf of its trajectory.

    For credit that compares whole trajectories of a tree. Credit at rows above the leaves is not read.

    Source: PPO, arXiv:1707.06347, eq. 7; the sums are milepost's.   Limits: without shared steps it is `Clipped`.

    Example:
        >>> tree = {"log_prob": [None, -1.0, -1.0, -1.0], "advantage": [None, None, 2.0, -1.0]}
        >>> loss = ClippedOnPaths()(Forest.of([-1, 0, 1, 1], tree), torch.tensor([0.0, -0.5, -1.0, -1.0])).loss
        >>> round(float(loss), 4)  # the shared step's ratio is 1.65: -(2 min(1.65, 1.2) - 1.65 + 2 - 1) / 4
        -0.4378
    """

    low: float = 0.2
    """How far the ratio may fall below 1 for bad trajectories before their gradient ends, in (0, 1]."""
    high: float = 0.2
    """How far it may rise above 1 for good ones."""
    bound: float = math.inf
    """Largest ratio that counts for negative credit; infinity: none."""
    normalise: Normalise = field(default_factory=TokenMean)
    """What the loss is divided by."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)
        if self.bound < math.inf:
            checks.positive("bound - 1", self.bound - 1)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = on_paths(forest, log_prob)
        paths, log_r = units.trajectories, log_ratio(units, log_prob)
        credit, rows = leaf_credit(forest, paths), len(forest)
        sums = credit_sums(credit, entry_weights(units.count, paths, self.normalise), paths, rows)
        share = credit_sums(credit.sign(), torch.ones(len(paths.values)), paths, rows)
        loss, marks = (
            log_prob.new_zeros(()),
            {"clip_low": torch.zeros_like(log_r), "clip_high": torch.zeros_like(log_r)},
        )
        for part, times in ((sums.up, share.up), (sums.down, share.down)):
            own = torch.where(units.mask, part.to(log_prob.dtype)[units.row], 0)
            loss = loss - clipped_surrogate(log_r, own, low=self.low, high=self.high, bound=self.bound).sum()
            of = (times.abs() / held(units.count, paths).clamp(min=1)).to(log_prob.dtype)[units.row]
            found = clip_marks(log_r, own, low=self.low, high=self.high)
            marks = {
                "clip_low": marks["clip_low"] + of * found.below,
                "clip_high": marks["clip_high"] + of * found.above,
            }
        marks["clip_fraction"] = marks["clip_low"] + marks["clip_high"]
        return Loss(loss=loss, metrics=describe(loss, units, log_prob, marks))


@dataclass(frozen=True, kw_only=True)
class SequenceOnPaths:
    """GSPO on trajectories that share steps: one ratio and one credit, that of its leaf, per trajectory.

        loss = -1/N sum_l clipped(s_l, A_l),   log s_l = sum of log r over the units of l / their number

    Source: GSPO, arXiv:2507.18071, eq. 5.   Limits: without shared steps it is `SequenceClipped`.

    Example:
        >>> SequenceOnPaths().high
        0.0004
    """

    low: float = 3e-4
    """How far the ratio may fall below 1 for bad trajectories."""
    high: float = 4e-4
    """How far it may rise above 1 for good ones."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("low", self.low, 1e-9, 1.0)
        checks.positive("high", self.high)

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss and `objective/*` metrics."""
        units = on_paths(forest, log_prob)
        paths, count = units.trajectories, max(len(units.trajectories), 1)
        log_s = sequence_log_ratio(log_ratio(units, log_prob), units.row, units.count, paths)
        credit = leaf_credit(forest, paths).to(log_prob.dtype)
        loss = -clipped_surrogate(log_s, credit, low=self.low, high=self.high).sum() / count
        marks = clip_marks(log_s, credit, low=self.low, high=self.high).named()
        clips = {f"objective/{name}": float(mark.sum() / count) for name, mark in marks.items()}
        return Loss(loss=loss, metrics={**describe(loss, units, log_prob, {}), **clips})
