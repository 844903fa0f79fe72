"""Signals found in a batch, column by column, and their counts per conversation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from milepost.curation.signals.taxonomy import CERTAIN, GROUP_OF, GROUPS, KINDS


@dataclass(slots=True)
class Found:
    """Signals, one entry of each list per signal."""

    trace: list[int] = field(default_factory=list[int])
    place: list[int] = field(default_factory=list[int])
    kind: list[int] = field(default_factory=list[int])
    confidence: list[float] = field(default_factory=list[float])

    def add(self, trace: int, place: int, kind: int, confidence: float) -> None:
        """Note a signal: number of the conversation and of the message, number of its kind, confidence in [0, 1]."""
        self.trace.append(trace)
        self.place.append(place)
        self.kind.append(kind)
        self.confidence.append(confidence)

    def counts(self, size: int) -> NDArray[np.int64]:
        """How often each kind occurs in each conversation, of those that are certain enough.

        Args:
            size: number of conversations.

        Returns:
            Array of shape (size, kinds).
        """
        sure = np.array(self.confidence) >= CERTAIN
        place = np.array(self.trace, dtype=np.int64) * len(KINDS) + np.array(self.kind, dtype=np.int64)
        return np.bincount(place[sure], minlength=size * len(KINDS)).reshape(size, len(KINDS))


def by_group(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts per group from counts per kind: shape (size, kinds) to (size, groups)."""
    members = GROUP_OF[:, None] == np.arange(len(GROUPS))
    return counts @ members.astype(np.int64)
