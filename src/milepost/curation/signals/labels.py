"""Signals as columns of a forest: on every step its kinds, on every leaf the counts of its trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from milepost.curation.signals.detect import detect
from milepost.curation.signals.flat import Laying
from milepost.curation.signals.matching import Phrases
from milepost.curation.signals.taxonomy import CERTAIN, KINDS
from milepost.forest import Forest
from milepost.traces.forests import messages_of

LABEL = "label.signals"


@dataclass(frozen=True, kw_only=True)
class Label:
    """Label steps with the kinds of signal found there, and count the signals of each trajectory at its leaf.

    Steps shared by several trajectories are looked at once in each; a kind found in any of them is on the label.
    """

    reads, writes = ("text", "call", "result", "origin"), (LABEL, *(f"signal.{kind}" for kind in KINDS))
    phrases: Phrases = field(default_factory=Phrases)
    """What users say; see `milepost.curation.signals.phrases`."""

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with `label.signals` and `signal.<kind>`."""
        messages, paths = messages_of(forest), forest.paths()
        leaves = forest.leaves()
        laying = Laying()
        places: list[list[int]] = []
        for number in range(len(leaves)):
            rows: list[int] = paths[number].tolist()
            laying.add([message for row in rows for message in messages[row]])
            places.append([row for row in rows for _ in messages[row]])
        batch = laying.batch()
        found = detect(batch, self.phrases)
        labels: list[dict[str, None]] = [{} for _ in range(len(forest))]
        for trace, place, kind, sure in zip(found.trace, found.place, found.kind, found.confidence, strict=True):
            if sure >= CERTAIN:
                labels[places[trace][place]][KINDS[kind]] = None
        counts = torch.from_numpy(found.counts(batch.size))
        is_leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, leaves, True)
        labelled = forest.with_columns({LABEL: [" ".join(kinds) or None for kinds in labels]})
        for place, kind in enumerate(KINDS):
            column = torch.zeros(len(forest), dtype=torch.int64).index_copy(0, leaves, counts[:, place])
            labelled = labelled.with_columns({f"signal.{kind}": column}).with_valid(f"signal.{kind}", is_leaf)
        return labelled
