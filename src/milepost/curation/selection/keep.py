"""A selection among the trajectories of a forest, with the probability of every pick."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from milepost.backup import at_or_above
from milepost.columns import Origin
from milepost.curation.selection.inclusion import either, uniforms
from milepost.curation.selection.rules import Counted, Selection
from milepost.curation.signals.taxonomy import KINDS
from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Mark the trajectories that a selection takes; nothing is removed.

    `keep` is true on every step of a trajectory that is kept, `inclusion` is on its leaf. A draw depends on the seed,
    the task, its number among the draws of the task and the place of the leaf in its tree.
    """

    reads, writes = tuple(f"signal.{kind}" for kind in KINDS), ("keep", "inclusion")
    selection: Selection = field(default_factory=Selection)

    def __call__(self, forest: Forest) -> Forest:
        """Return the forest with `keep` and `inclusion`."""
        leaves, size = forest.leaves(), len(forest)
        counts = np.stack([forest[f"signal.{kind}"][leaves].numpy() for kind in KINDS], axis=1)
        counted = Counted(counts=counts, turns=_turns(forest))
        level = self.selection.rule.level(counted)
        count = np.bincount(level, minlength=self.selection.rule.levels)
        by_rule = self.selection.probability(count, len(leaves))[level]
        names, places = _names(forest)
        number = np.array(places, dtype=np.int64)
        taken = _drawn(self.selection.seed, names, number, "rule") < by_rule
        taken |= _drawn(self.selection.seed, names, number, "sentinel") < self.selection.uniform
        marked = torch.zeros(size, dtype=torch.bool).index_copy(0, leaves, torch.from_numpy(taken))
        inclusion = torch.zeros(size, dtype=torch.float64)
        inclusion[leaves] = torch.from_numpy(either(by_rule, self.selection.uniform))
        is_leaf = torch.zeros(size, dtype=torch.bool).index_fill(0, leaves, True)
        kept = forest.with_columns({"keep": at_or_above(marked, forest.parent), "inclusion": inclusion})
        return kept.with_valid("inclusion", is_leaf)


def _turns(forest: Forest) -> np.ndarray:
    """Steps of the surroundings with text on the way to each leaf: what a user said."""
    text = forest.valid("text") if "text" in forest else torch.zeros(len(forest), dtype=torch.bool)
    said = text & (forest["origin"] == int(Origin.ENVIRONMENT)) if "origin" in forest else text & False
    if "extra_text.role" in forest:
        said = torch.tensor([role == "user" for role in forest.text("extra_text.role")], dtype=torch.bool)
    paths = forest.paths()
    turns = torch.zeros(len(paths), dtype=torch.int64).index_add(0, paths.row, said[paths.values].long())
    return turns.numpy()


def _names(forest: Forest) -> tuple[list[str], list[int]]:
    """What each leaf's trajectory is called: its tree by task and draw, and its place among the leaves of the tree."""
    roots: list[int] = forest.root_of()[forest.leaves()].tolist()
    task = forest.text("task") if "task" in forest else [None] * len(forest)
    draw = forest["draw"].tolist() if "draw" in forest else [0] * len(forest)
    seen: dict[int, int] = {}
    names: list[str] = []
    places: list[int] = []
    for root in roots:
        seen[root] = seen.get(root, -1) + 1
        names.append(f"{task[root] or root}#{draw[root]}")
        places.append(seen[root])
    return names, places


def _drawn(seed: int, names: list[str], place: np.ndarray, purpose: str) -> np.ndarray:
    single = [uniforms(seed, name, place[row : row + 1], purpose) for row, name in enumerate(names)]
    return np.concatenate(single) if single else np.zeros(0)
