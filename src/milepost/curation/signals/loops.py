"""Loops in the calls of tools: the same call again, the same tool with other arguments, and tools in turn.

Source: Signals 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from milepost.curation.signals.flat import Batch, canonical
from milepost.curation.signals.found import Found
from milepost.curation.signals.taxonomy import NUMBER
from milepost.curation.signals.words import names_of

RUN, REPEATS, LONGEST = 3, 3, 5
"""Calls in a row that make a loop, times that a pattern is repeated, and length of the longest pattern."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop: kind, first call and the call after its last."""

    kind: str
    start: int
    stop: int


def looped(batch: Batch, found: Found, *, fast: bool) -> None:
    """Loops in the calls of every conversation.

    Args:
        batch: the conversations.
        found: takes the signals, each at the message of the loop's first call.
        fast: by machine code.
    """
    calls, spelled = batch.calls, batch.calls.spelled
    if len(spelled) < RUN:
        return
    for start, stop in _suspicious(batch, fast=fast):
        rows = range(start, stop)
        for loop in loops([calls.name(row) for row in rows], [calls.arguments(row) for row in rows]):
            at = start + loop.start
            found.add(spelled.trace[at], spelled.place[at], NUMBER[loop.kind], _CONFIDENCE[loop.kind])


_CONFIDENCE = {"retry": 0.9, "parameter_drift": 0.7, "oscillation": 0.8}


def _suspicious(batch: Batch, *, fast: bool) -> list[tuple[int, int]]:
    """Calls from and to of the conversations that can hold a loop: at some distance, as many calls as a loop has equal
    the one that far back.
    """
    trace, names = batch.calls.spelled.trace, names_of(batch.calls, fast=fast)
    possible = np.zeros(batch.size, dtype=bool)
    for back in range(1, LONGEST + 1):
        same = (names[back:] == names[:-back]) & (trace[back:] == trace[:-back])
        need = RUN - 1 if back == 1 else back * (REPEATS - 1)
        possible |= np.bincount(trace[back:][same], minlength=batch.size) >= need
    chosen = np.flatnonzero(possible)
    starts, stops = np.searchsorted(trace, chosen), np.searchsorted(trace, chosen, side="right")
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def loops(names: Sequence[str], arguments: Sequence[Any]) -> list[Loop]:
    """Loops in the calls of one conversation.

    Retry: at least three calls in a row with the same name and arguments. Parameter drift: at least three calls of one
    tool in a row with at least two sets of arguments and without a retry among them. Oscillation: two to five names, at
    least two of them different, repeated at least three times; the shortest pattern counts, and what it covers counts
    once.

    Args:
        names: of each call.
        arguments: of each call: mappings, or JSON text. The order of keys does not matter.

    Returns:
        The loops by their first call.
    """
    return sorted([*_runs(names, arguments), *_oscillations(names)], key=lambda one: (one.start, one.kind))


def _runs(names: Sequence[str], arguments: Sequence[Any]) -> list[Loop]:
    found: list[Loop] = []
    for start, stop in _equal(names):
        if stop - start < RUN:
            continue
        same = [canonical(one) for one in arguments[start:stop]]
        retries = [(a, b) for a, b in _equal(same) if b - a >= RUN]
        found += [Loop("retry", start + a, start + b) for a, b in retries]
        if not retries and len(set(same)) > 1:
            found.append(Loop("parameter_drift", start, stop))
    return found


def _equal(items: Sequence[str]) -> list[tuple[int, int]]:
    """Longest runs of equal items."""
    cuts = [0, *(place for place in range(1, len(items)) if items[place] != items[place - 1]), len(items)]
    return [(start, stop) for start, stop in pairwise(cuts) if stop > start]


def _oscillations(names: Sequence[str]) -> list[Loop]:
    found: list[Loop] = []
    place = 0
    while place < len(names):
        for length in range(2, LONGEST + 1):
            pattern = names[place : place + length]
            if len(set(pattern)) < 2:
                continue
            stop = place + length
            while names[stop : stop + length] == pattern:
                stop += length
            if stop - place >= REPEATS * length:
                found.append(Loop("oscillation", place, stop))
                place = stop - 1
                break
        place += 1
    return found
