"""A batch of conversations from a block of lines that was skimmed."""

from __future__ import annotations

import numpy as np

from milepost.bridges import chat
from milepost.bridges.lines import Parse
from milepost.bridges.skim.block import Block, Packed
from milepost.bridges.skim.messages import SKIMMED
from milepost.bridges.skim.texts import keys_of
from milepost.curation.signals.flat import ANSWER, LAST_MESSAGES, TEXT, Batch, Calls, Texts
from milepost.curation.signals.results import KEYS
from milepost.engines.triage.tables import Heads
from milepost.traces.record import ANSWERS

_KEYS = keys_of(KEYS)


def batch_of(block: Block) -> Batch:
    """The conversations of a block laid flat, as `flat.Laying` lays them.

    Args:
        block: the block; its odd lines are left out.

    Returns:
        The batch; of what tools answered only what may be a sign, by `results.KEYS`.
    """
    chosen = block.place >= block.count[block.line] - LAST_MESSAGES
    trace = np.cumsum(block.kind == SKIMMED) - 1

    def texts(packed: Packed) -> Texts:
        row = packed.message
        return Texts(packed.data, packed.offsets, trace[block.line[row]], block.place[row])

    calls, names = block.calls(chosen)
    return Batch(
        size=int((block.kind == SKIMMED).sum()),
        user=texts(block.texts(("user",), chosen, TEXT)),
        agent=texts(block.texts(("assistant",), chosen, TEXT)),
        answers=texts(block.texts(ANSWERS, chosen, ANSWER, _KEYS)),
        calls=Calls(texts(calls), names),
    )


def heads_of(block: Block, parse: Parse, first: int) -> Heads:
    """What else the skimmed lines of a block say.

    Args:
        block: the block.
        parse: reads JSON.
        first: number of its first line.

    Returns:
        One entry for each conversation of `batch_of`.
    """
    heads = Heads()
    rows = np.flatnonzero(block.kind == SKIMMED)
    counts = block.count[rows].tolist()
    for row, count, text in zip(rows.tolist(), counts, block.heads(), strict=True):
        rest = parse(text)
        del rest["messages"]
        heads.add(chat.trace_of(rest, (), first + row), first + row, count)
    return heads
