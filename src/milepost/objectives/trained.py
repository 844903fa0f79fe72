"""What a loss may touch: the trained tokens of a forest, or its trained steps where there are no tokens.

The objective is defined on trajectories. A step that several trajectories share is stored once and counts once for each
of them; only trajectories whose leaf has valid credit count. Everything here is computed from one mask, where it is
used, so that leaving rows out and masking them give the same loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.errors import ColumnError, ShapeError
from milepost.forest import Forest
from milepost.ragged import Ragged


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """The units of a loss: one per token of the forest, or per row where there are no tokens."""

    mask: Bool[Tensor, " u"]
    """Units that the loss touches: trained, chosen with a known log-probability, in a row with valid credit."""
    row: Int[Tensor, " u"]
    """Row that owns each unit."""
    behaviour: Float[Tensor, " u"]
    """Log-probability under the policy that sampled, in nats; 0 where masked."""
    advantage: Float[Tensor, " u"]
    """Credit of the row; 0 where masked."""
    count: Int[Tensor, " n"]
    """Units of each row that the loss touches."""
    trajectories: Ragged
    """Rows of every trajectory that counts: its leaf has valid credit, and the loss touches one of its units."""


class Normalise(Protocol):
    """How much a unit of each row weighs in the loss."""

    def __call__(self, count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
        """One weight per row, float64."""
        ...


def trained(forest: Forest, log_prob: Float[Tensor, " u"]) -> Trained:
    """Find the units of the loss.

    Args:
        forest: with `advantage`, and with `tokens.train` and `tokens.log_prob`, or, without tokens, `log_prob`; of
            steps without tokens those whose `stochastic` is false are left out.
        log_prob: log-probability of every unit under the policy that is trained; its type is that of the loss.

    Returns:
        The units.

    Raises:
        ColumnError: the forest lacks one of the columns.
        ShapeError: not one log-probability per unit.
    """
    for name in ("advantage", "log_prob" if forest.token_offsets is None else "tokens.log_prob"):
        if name not in forest:
            raise ColumnError(
                f"An objective needs column {name!r}, but the forest has: {', '.join(forest.names)}. "
                "Apply a credit rule before it, and store the log-probabilities when sampling."
            )
    mask, stored, row = _by_row(forest) if forest.token_offsets is None else _by_token(forest)
    if log_prob.shape != mask.shape:
        raise ShapeError(
            f"log_prob has shape {tuple(log_prob.shape)}, expected {tuple(mask.shape)}: one entry per token of the "
            "forest, or per row where it has no tokens."
        )
    valid = forest.valid("advantage")
    mask = mask & valid[row]
    count = torch.bincount(row[mask], minlength=len(forest))
    leaf = forest.leaves()
    paths = forest.paths(leaf[valid[leaf]])
    units = torch.zeros(len(paths), dtype=torch.int64).index_add_(0, paths.row, count[paths.values])
    credit = forest["advantage"].to(log_prob.dtype)[row]
    return Trained(
        mask=mask,
        row=row,
        behaviour=torch.where(mask, stored.to(log_prob.dtype), 0),
        advantage=torch.where(mask, credit, 0),
        count=count,
        trajectories=paths.select((units > 0).nonzero().squeeze(1)),
    )


def _by_token(forest: Forest) -> tuple[Tensor, Tensor, Tensor]:
    return forest["tokens.train"] & forest.valid("tokens.log_prob"), forest["tokens.log_prob"], forest.token_row


def _by_row(forest: Forest) -> tuple[Tensor, Tensor, Tensor]:
    mask = forest.valid("log_prob") & (forest.parent >= 0)
    if "stochastic" in forest:
        mask = mask & forest["stochastic"] & forest.valid("stochastic")
    return mask, forest["log_prob"], torch.arange(len(forest))


def log_ratio(units: Trained, log_prob: Float[Tensor, " u"]) -> Float[Tensor, " u"]:
    """Logarithm of the importance ratio of each unit.

        log r = log pi(unit) - log mu(unit),   mu the policy that sampled

    Args:
        units: the units of the loss.
        log_prob: log-probability of every unit under the policy that is trained, in nats.

    Returns:
        Nats, 0 where masked; carries the gradient.
    """
    return torch.where(units.mask, log_prob - units.behaviour, 0)


def weights(units: Trained, normalise: Normalise, like: Tensor) -> Float[Tensor, " u"]:
    """Weight of each unit in the loss.

    Args:
        units: the units of the loss.
        normalise: weight of a unit by its row.
        like: has the type wanted.

    Returns:
        At least 0, and 0 where masked.
    """
    by_row = normalise(units.count, units.trajectories)
    return torch.where(units.mask, by_row.to(like.dtype)[units.row], 0)


def held(count: Int[Tensor, " n"], trajectories: Ragged) -> Float[Tensor, " n"]:
    """How many of the trajectories hold each row.

        held_i = #{l: i on the path to leaf l}

    Args:
        count: trained units of each row; only its length is used.
        trajectories: rows of each trajectory.

    Returns:
        float64, one whole number per row.
    """
    return torch.bincount(trajectories.values, minlength=len(count)).double()
