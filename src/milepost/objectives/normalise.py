"""What a loss is divided by: tokens, sequences, or a fixed length. The choice decides how much long answers weigh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks
from milepost.objectives.trained import held
from milepost.ragged import Ragged


def token_mean(count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
    """Weight of a unit when all units of all trajectories weigh the same.

        w_i = held_i / sum_j held_j count_j,   held_i = trajectories that hold row i

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory that counts.

    Returns:
        float64, one weight per row; all 0 when there is no unit. The units' weights sum to 1.

    Source: DAPO, arXiv:2503.14476, section 3.3; verl's "token-mean", TRL's "bnpo".
    """
    times = held(count, trajectories)
    return times / (times * count).sum().clamp(min=1)


def sequence_mean(count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
    """Weight of a unit when all trajectories weigh the same, whatever their length.

        w_i = sum over trajectories l that hold row i of 1 / (N T_l),   T_l = units of l,  N = number of trajectories

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory that counts; each has at least one unit.

    Returns:
        float64, one weight per row; all 0 when there is no unit. The units' weights sum to 1.

    Source: GRPO, arXiv:2402.03300, eq. 3; verl's "seq-mean-token-mean", TRL's "grpo".
    """
    length = torch.zeros(len(trajectories), dtype=torch.int64)
    length = length.index_add_(0, trajectories.row, count[trajectories.values])
    share = 1 / (length.double().clamp(min=1) * max(len(trajectories), 1))
    weight = torch.zeros(len(count), dtype=torch.float64)
    return weight.index_add_(0, trajectories.values, share[trajectories.row])


def fixed_length(count: Int[Tensor, " n"], trajectories: Ragged, *, length: int) -> Float[Tensor, " n"]:
    """Weight of a unit when every trajectory is divided by the same length.

        w_i = held_i / (N length)

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory that counts.
        length: units, such as the longest answer allowed.

    Returns:
        float64, one weight per row.

    Source: Dr. GRPO, arXiv:2503.20783, section 3.1; verl's "seq-mean-token-sum-norm", TRL's "dr_grpo".
    """
    return held(count, trajectories) / (max(len(trajectories), 1) * length)


def step_mean(count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
    """Weight of a unit when all trees weigh the same, in a tree all groups of siblings, in a group all steps.

        w_i = 1 / (Q G_q K_g T_i),   T_i units of row i,  K_g trained siblings of i,  G_q groups of its tree,  Q trees

    Args:
        count: trained units of each row.
        trajectories: rows of each trajectory that counts.

    Returns:
        float64, one weight per row; 0 where a row has no unit or lies on no trajectory that counts. The units' weights
        sum to 1.

    Source: SLATE, the objective of truncated step-level sampling: a mean over questions of a mean over steps of the
    mean over candidates of the mean over their own tokens.   Limits: trees that branch at the root only give
    `sequence_mean` where they have equally many answers.
    """
    size, rows, offsets = len(count), trajectories.values, trajectories.offsets
    below = torch.ones(len(rows), dtype=torch.bool).index_fill(0, offsets[:-1], False).nonzero().squeeze(1)
    above = torch.full((size,), size, dtype=torch.int64).index_copy(0, rows[below], rows[below - 1])
    root = torch.full((size,), size, dtype=torch.int64).index_copy(0, rows, rows[offsets[:-1]][trajectories.row])
    mine = (count > 0) & (root < size)
    siblings = torch.bincount(above[mine], minlength=size + 1)
    begun = torch.zeros(size + 1, dtype=torch.int64)
    begun[above[mine]] = 1
    tree = torch.zeros(size + 1, dtype=torch.int64).index_copy(0, above[mine], root[mine])
    groups = torch.zeros(size + 1, dtype=torch.int64).index_add(0, tree[begun > 0], begun[begun > 0])
    trees = int((groups > 0).sum())
    whole = (groups[root] * siblings[above] * count).double() * max(trees, 1)
    return torch.where(mine, 1 / whole.clamp(min=1), 0)


@dataclass(frozen=True, kw_only=True)
class TokenMean:
    """Every token weighs the same, so that a long answer weighs more than a short one.

    Source: DAPO, arXiv:2503.14476, section 3.3.

    Example:
        >>> from milepost.ragged import Ragged
        >>> TokenMean()(torch.tensor([0, 3, 1]), Ragged.of([[0, 1], [0, 2]], torch.int64)).tolist()
        [0.5, 0.25, 0.25]
    """

    def __call__(self, count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
        """One weight per row."""
        return token_mean(count, trajectories)


@dataclass(frozen=True, kw_only=True)
class SequenceMean:
    """Every trajectory weighs the same, so that a token of a long answer weighs less than one of a short answer.

    Source: GRPO, arXiv:2402.03300, eq. 3.

    Example:
        >>> from milepost.ragged import Ragged
        >>> SequenceMean()(torch.tensor([0, 4, 1]), Ragged.of([[0, 1], [0, 2]], torch.int64)).tolist()
        [0.625, 0.125, 0.5]
    """

    def __call__(self, count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
        """One weight per row."""
        return sequence_mean(count, trajectories)


@dataclass(frozen=True, kw_only=True)
class FixedLength:
    """Every trajectory is divided by the same length, so that length itself is neither punished nor rewarded.

    Source: Dr. GRPO, arXiv:2503.20783, section 3.1.

    Example:
        >>> from milepost.ragged import Ragged
        >>> FixedLength(length=10)(torch.tensor([0, 4, 1]), Ragged.of([[0, 1], [0, 2]], torch.int64)).tolist()
        [0.1, 0.05, 0.05]
    """

    length: int
    """Units, such as the longest answer allowed."""

    def __post_init__(self) -> None:
        """Check the length."""
        checks.at_least("length", self.length, 1)

    def __call__(self, count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
        """One weight per row."""
        return fixed_length(count, trajectories, length=self.length)


@dataclass(frozen=True, kw_only=True)
class StepMean:
    """Every tree weighs the same, in it every group of siblings, in that every step, whatever its length.

    For samplers that compare candidates at every step: one counts once, however many trajectories go on from it.

    Source: SLATE, the objective of truncated step-level sampling.

    Example:
        >>> from milepost.ragged import Ragged
        >>> paths = Ragged.of([[0, 1], [0, 2, 3], [0, 2, 4]], torch.int64)
        >>> StepMean()(torch.tensor([0, 1, 2, 1, 1]), paths).tolist()
        [0.0, 0.25, 0.125, 0.25, 0.25]
    """

    def __call__(self, count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
        """One weight per row."""
        return step_mean(count, trajectories)
