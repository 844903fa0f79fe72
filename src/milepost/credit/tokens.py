"""From credit per step to credit per token: late, in one pass, and with a record of which token is which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.errors import ColumnError, ShapeError
from milepost.forest import Forest
from milepost.ragged import Ragged, gather_index


def spread(
    advantage: Float[Tensor, " n"], lengths: Int[Tensor, " n"], train: Bool[Tensor, " t"]
) -> Float[Tensor, " t"]:
    """Give every trained token the credit of the step that it belongs to.

        token_k = advantage_{row_k} if train_k else 0

    Args:
        advantage: credit of each step.
        lengths: tokens of each step; they sum to the number of tokens.
        train: whether the loss may touch a token.

    Returns:
        One number per token, of the type of `advantage`.

    Raises:
        ShapeError: the lengths do not sum to the number of tokens.

    Source: milepost: credit belongs to steps; it is written to tokens once, as late as possible.
    """
    if len(advantage) != len(lengths) or int(lengths.sum()) != len(train):
        raise ShapeError(
            f"spread got {len(advantage)} credits for {len(lengths)} steps of {int(lengths.sum())} tokens in all and "
            f"{len(train)} tokens, expected one credit and one length per step that add up."
        )
    value, chosen = np.repeat(advantage.numpy(), lengths.numpy()), train.numpy()
    if not chosen.all():
        np.multiply(value, chosen, out=value)
    return torch.from_numpy(value)


def token_credit(forest: Forest) -> Float[Tensor, " t"]:
    """Credit of every token of a forest.

    Args:
        forest: with `advantage` and `tokens.train`.

    Returns:
        One number per token in the order of the token columns; 0 where the loss may not touch the token, and in rows
        whose credit is missing.

    Raises:
        ColumnError: the forest has no tokens or no credit.
    """
    train = forest.ragged("tokens.train")
    credit = torch.where(forest.valid("advantage"), forest["advantage"], 0)
    return spread(credit, train.lengths, train.values)


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBatch:
    """Rows of tokens as a trainer sees them: one line per sample, padded to the same width."""

    source: Int[Tensor, "b t"]
    """Position in the forest's token columns, -1 for padding."""
    id: Int[Tensor, "b t"]
    advantage: Float[Tensor, "b t"]
    train: Bool[Tensor, "b t"]
    """Whether the trainer's loss touches the token in this line."""

    def __post_init__(self) -> None:
        """Check that all four agree in shape."""
        shapes = {tuple(value.shape) for value in (self.source, self.id, self.advantage, self.train)}
        if len(shapes) != 1 or self.source.dim() != 2:
            raise ShapeError(f"A TokenBatch got tensors of shapes {sorted(shapes)}, expected four of one shape (b, t).")


def lay_out(forest: Forest, lines: Ragged, *, right_aligned: bool = False) -> Int[Tensor, "b t"]:
    """Say which token of a forest stands where in a batch of padded lines.

    Args:
        forest: with tokens.
        lines: the rows whose tokens each line holds, in order, such as `forest.paths()`.
        right_aligned: pad on the left instead of on the right.

    Returns:
        Position in the forest's token columns, -1 for padding.

    Raises:
        ColumnError: the forest has no tokens.
    """
    if forest.token_offsets is None:
        raise ColumnError("The forest has no tokens to lay out.")
    position, starts = gather_index(forest.token_offsets, lines.values)
    offsets = starts[lines.offsets]
    lengths = offsets.diff()
    width = int(lengths.max()) if len(lengths) else 0
    line = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    column = torch.arange(len(position)) - offsets[:-1][line]
    if right_aligned:
        column = column + (width - lengths)[line]
    return torch.full((len(lengths), width), -1, dtype=torch.int64).index_put((line, column), position)


def assemble(forest: Forest, lines: Ragged, *, right_aligned: bool = False) -> TokenBatch:
    """Build the batch that a trainer should see: the tokens of each line, with the credit of the steps they belong to.

    A token that several lines share is trained in each of them, as the objective on trajectories asks for.

    Args:
        forest: with `tokens.id`, `tokens.train` and `advantage`.
        lines: the rows whose tokens each line holds, in order.
        right_aligned: pad on the left instead of on the right.

    Returns:
        The batch.

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    source = lay_out(forest, lines, right_aligned=right_aligned)
    real = source >= 0
    at = source.clamp(min=0)
    return TokenBatch(
        source=source,
        id=torch.where(real, forest["tokens.id"][at], 0),
        advantage=torch.where(real, token_credit(forest)[at], 0),
        train=real & forest["tokens.train"][at] & forest.valid("advantage")[forest.token_row][at],
    )
