"""Retries from a pivot: a finished trajectory is looked back at, and resumed with advice where it went wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.columns import End, Origin
from milepost.forest import Forest
from milepost.part import Extension, Inserted, Observation
from milepost.sampling.branching.probe import below_inserted
from milepost.sampling.branching.reflection import Reflection, Reflector, read_reflection


@dataclass(frozen=True, kw_only=True)
class Retrying:
    """State of `Retry`: whether the roots have their children, and whether the retries were begun."""

    begun: bool
    retried: bool


@dataclass(frozen=True, kw_only=True)
class Retry:
    """`width` base trajectories per root, and at most one retry of each, from the step that the reflector names.

    A retry keeps the first k steps as they are: they are the same rows. Below them one row is inserted that shows the
    advice and is not trained; its `branch_of` is the key of the base step that it replaces. The environment's state at
    the pivot is that of the base, so nothing is played again: a retry of T steps that keeps k of them costs T - k.

    Source: R3L, reflect then retry.   Limits: a reflector that never wants a retry gives `Independent`.
    """

    reflector: Reflector
    """Looks back at base trajectories; its verdict decides, not the reward."""
    width: int = 4
    """Base trajectories per root: half the budget."""

    def __post_init__(self) -> None:
        """Check the width."""
        checks.at_least("width", self.width, 1)

    def init(self, forest: Forest, key: int) -> Retrying:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Retrying(begun=False, retried=False)

    def ask(self, forest: Forest, state: Retrying) -> Extension | None:
        """Roots, then open leaves until all have ended, then retries, then open leaves again."""
        rows = forest.open_rows() if state.begun else forest.roots()
        if len(rows):
            return Extension(rows=rows, counts=torch.full_like(rows, 1 if state.begun else self.width))
        return self._retries(forest) if state.begun and not state.retried else None

    def _retries(self, forest: Forest) -> Extension | None:
        leaf, said = forest.leaves(), forest.text("reflection") if "reflection" in forest else None
        pivots: list[int] = []
        replaced: list[int] = []
        found: list[Reflection] = []
        for row in leaf[~below_inserted(forest)[leaf]].tolist() if said else []:
            path = forest.path(row).tolist()
            verdict = read_reflection(said[row] if said else None, len(path) - 1)
            if verdict is not None and verdict.wants_retry:
                found.append(verdict)
                pivots.append(path[verdict.retry_from_step])
                replaced.append(path[verdict.retry_from_step + 1])
        if not found:
            return None
        inserted = Inserted(
            shown=[Observation(text=one.suggestion, continues=True) for one in found],
            texts=[""] * len(found),
            branch_of=forest["key"][torch.tensor(replaced)],
        )
        return Extension(
            rows=torch.tensor(pivots), counts=torch.ones(len(pivots), dtype=torch.int64), inserted=inserted
        )

    def review(self, forest: Forest, rows: Tensor, state: Retrying) -> Forest:
        """Look back at base trajectories that have just ended."""
        ended = rows[forest["end"][rows] != int(End.OPEN)]
        return self.reflector(forest, ended) if len(ended) and not state.retried else forest

    def tell(self, forest: Forest, rows: Tensor, state: Retrying) -> Retrying:
        """Remember that the roots were extended, and whether the retries were begun."""
        sent = bool((forest["origin"][rows] == int(Origin.INSERTED)).any())
        return Retrying(begun=True, retried=state.retried or sent)
