"""Which rows are computed together, so that siblings share their prefix and memory stays bounded."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor, tensor

from milepost.forest import Forest
from milepost.ragged import Ragged


def path_tokens(forest: Forest, rows: Int[Tensor, " k"]) -> Ragged:
    """Tokens from the root down to each of the given rows.

    Args:
        forest: with token columns.
        rows: the ends of the paths.

    Returns:
        Token ids, one row per path.
    """
    paths = forest.paths(rows)
    tokens = forest.ragged("tokens.id").select(paths.values)
    return Ragged(tokens.values, tokens.offsets[paths.offsets])


def batches(
    context: Int[Tensor, " k"], own: Int[Tensor, " k"], above: Int[Tensor, " k"], limit: int
) -> list[Int[Tensor, " _"]]:
    """Split rows into batches that hold at most `limit` tokens, a prefix counted once in each batch that needs it.

    Args:
        context: what each row follows; rows with the same context share a prefix.
        own: tokens of each row.
        above: tokens of the prefix of each row.
        limit: tokens of a batch; a row that is larger by itself is a batch of its own.

    Returns:
        Positions of the rows of each batch, ordered by context, each position exactly once.
    """
    found, held, last = list[list[int]](), 0, -1
    contexts, sizes, prefixes = context.tolist(), own.tolist(), above.tolist()
    for place in context.argsort(stable=True).tolist():
        fresh = prefixes[place] if contexts[place] != last else 0
        if not found or held + fresh + sizes[place] > limit:
            found.append([])
            held, fresh = 0, prefixes[place]
        found[-1].append(place)
        held, last = held + fresh + sizes[place], contexts[place]
    return [tensor(places) for places in found]
