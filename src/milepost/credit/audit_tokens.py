"""The credit checker for tokens: credit spread over tokens, or in a trainer's batch, against its forest."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.credit.findings import SHOWN, Finding, Findings, first
from milepost.credit.tokens import TokenBatch, token_credit
from milepost.errors import ShapeError
from milepost.forest import Forest


def audit_tokens(forest: Forest, token_advantage: Float[Tensor, " t"]) -> Findings:
    """Check credit that was spread over the tokens of a forest.

    Args:
        forest: with `advantage` and tokens.
        token_advantage: one number per token, in the order of the token columns.

    Returns:
        Findings named "untrained" and "misplaced".

    Raises:
        ShapeError: not one number per token.
        ColumnError: the forest has no tokens or no credit.
    """
    train = forest["tokens.train"]
    if token_advantage.shape != train.shape:
        raise ShapeError(f"token_advantage has shape {tuple(token_advantage.shape)}, expected {tuple(train.shape)}.")
    position = torch.arange(len(train))
    found = [
        *_untrained(forest, position, token_advantage, train),
        *_misplaced(forest, position, token_advantage, train),
    ]
    return Findings(found=tuple(found), checked=("untrained", "misplaced"))


def audit_batch(forest: Forest, batch: TokenBatch, rows: Int[Tensor, " k"] | None = None) -> Findings:
    """Check the lines of tokens that a trainer is about to train on.

    Args:
        forest: with `advantage`, `tokens.id` and `tokens.train`: where ids and credit come from.
        batch: the lines as the trainer sees them, each position with the token of the forest that it claims to be.
        rows: rows that the batch should train; by default every row with credit.

    Returns:
        Findings named "untrained", "misplaced", "owner" and "swapped".

    Raises:
        ColumnError: the forest lacks one of the columns.
    """
    source, value = batch.source.flatten(), batch.advantage.flatten()
    real = source >= 0
    train = batch.train.flatten() & real
    found = [
        *_untrainable(forest, batch),
        *_untrained(forest, source, value, train),
        *_misplaced(forest, source, value, train),
        *_owner(forest, source, train, _rows_wanted(forest, rows)),
        *_swapped(forest, source[real], batch.id.flatten()[real]),
    ]
    return Findings(found=tuple(found), checked=("untrained", "misplaced", "owner", "swapped"))


def _shown(values: Tensor, marked: Bool[Tensor, " n"]) -> str:
    return ", ".join(f"{float(value):.6g}" for value in values[marked][:SHOWN])


def _places(forest: Forest, position: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows and tokens to name, of the given positions in the token columns."""
    known = position[position >= 0]
    tokens = torch.zeros(len(forest["tokens.train"]), dtype=torch.bool).index_fill(0, known, True)
    rows = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.token_row[known], True)
    return first(rows), first(tokens)


def _untrainable(forest: Forest, batch: TokenBatch) -> Iterator[Finding]:
    allowed = (batch.source >= 0) & forest["tokens.train"][batch.source.clamp(min=0)]
    wrong = batch.train & ~allowed
    if bool(wrong.any()):
        rows, tokens = _places(forest, batch.source[wrong])
        yield Finding(
            check="untrained",
            rows=rows,
            tokens=tokens,
            count=int(wrong.sum()),
            expected="no training on padding, nor on tokens that the forest does not train",
            received="train true there",
        )


def _untrained(forest: Forest, position: Tensor, value: Tensor, train: Tensor) -> Iterator[Finding]:
    wrong = ~train & (value != 0)
    if bool(wrong.any()):
        rows, tokens = _places(forest, position[wrong])
        yield Finding(
            check="untrained",
            rows=rows,
            tokens=tokens,
            count=int(wrong.sum()),
            expected="no credit on tokens that are not trained, nor on padding",
            received=_shown(value, wrong),
        )


def _misplaced(forest: Forest, position: Tensor, value: Tensor, train: Tensor) -> Iterator[Finding]:
    wanted = token_credit(forest)[position.clamp(min=0)].to(value.dtype)
    wrong = train & ~((value - wanted).abs() <= 1e-5 * wanted.abs() + 1e-7)
    if bool(wrong.any()):
        rows, tokens = _places(forest, position[wrong])
        yield Finding(
            check="misplaced",
            rows=rows,
            tokens=tokens,
            count=int(wrong.sum()),
            expected=f"the credit of the step that each token belongs to: {_shown(wanted, wrong)}",
            received=_shown(value, wrong),
        )


def _rows_wanted(forest: Forest, rows: Tensor | None) -> Tensor:
    if rows is None:
        return forest.valid("advantage")
    return torch.zeros(len(forest), dtype=torch.bool).index_fill(0, rows, True)


def _owner(forest: Forest, position: Tensor, train: Tensor, wanted: Tensor) -> Iterator[Finding]:
    trained, row = forest["tokens.train"], forest.token_row
    times = torch.bincount(position[train], minlength=len(trained))
    most = torch.bincount(forest.paths().values, minlength=len(forest))  # trajectories that hold a row
    often = torch.zeros(len(forest), dtype=times.dtype).scatter_reduce(0, row[trained], times[trained], "amax")
    uneven = times != often[row]
    wrong = trained & wanted[row] & ((times == 0) | (times > most[row]) | uneven)
    if bool(wrong.any()):
        rows, tokens = _places(forest, wrong.nonzero().squeeze(1))
        yield Finding(
            check="owner",
            rows=rows,
            tokens=tokens,
            count=int(wrong.sum()),
            expected="every token of a trained step once, or once per trajectory that holds it, all equally often",
            received="trained " + ", ".join(str(int(n)) for n in times[wrong][:SHOWN]) + " times",
        )


def _swapped(forest: Forest, position: Tensor, ids: Tensor) -> Iterator[Finding]:
    wanted = forest["tokens.id"][position]
    wrong = ids != wanted
    if bool(wrong.any()):
        rows, tokens = _places(forest, position[wrong])
        yield Finding(
            check="swapped",
            rows=rows,
            tokens=tokens,
            count=int(wrong.sum()),
            expected="ids " + ", ".join(str(int(one)) for one in wanted[wrong][:SHOWN]),
            received=", ".join(str(int(one)) for one in ids[wrong][:SHOWN]),
        )
