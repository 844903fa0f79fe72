"""Probes at dead ends: a wrong answer is taken back, a doubt is put in its place, and the policy goes on from there."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from milepost import checks, keys, segments
from milepost.columns import End, Origin
from milepost.forest import Forest
from milepost.part import Extension, Inserted, Observation
from milepost.sampling.branching.hooks import Scorer
from milepost.sampling.branching.pool import DOUBTS


@dataclass(frozen=True, kw_only=True)
class Probing:
    """State of `Probe`: whether the roots have their children, and whether the probes were sent."""

    begun: bool
    probed: bool


def below_inserted(forest: Forest) -> Bool[Tensor, " n"]:
    """Rows that are inserted or lie below an inserted row.

    Args:
        forest: with `origin`.

    Returns:
        One truth value per row.
    """
    inserted = (forest["origin"] == int(Origin.INSERTED)) & forest.valid("origin")
    return segments.path_sum(inserted.long(), forest.parent) > 0


@dataclass(frozen=True, kw_only=True)
class Probe:
    """`width` independent trajectories per root; with some probability a wrong one is resumed before its answer.

    A dead end is an own trajectory that ended by itself, not at a limit, with a total reward below `passing`. Its last
    step is taken back and a sentence of `pool` is inserted in its place. The probe's steps are rows below the inserted
    one, whose `branch_of` is the key of the step taken back. A probe is not probed again, and a reward that failed
    starts none.

    Source: REX-RAG, arXiv:2508.08149, mixed sampling.   Limits: probability 0 is `Independent`.

    Example:
        >>> Probe(scorer=lambda forest, rows: forest).probability
        0.2
    """

    scorer: Scorer
    """Scores finished trajectories; it may need the right answer, so the sampler is for training only."""
    width: int = 5
    """Trajectories of the policy's own per root."""
    probability: float = 0.2
    """With which a dead end is probed."""
    passing: float = 1.0
    """Total reward from which an answer is no dead end."""
    pool: tuple[str, ...] = field(default=DOUBTS)
    """Sentences to insert, each equally likely."""
    train: bool = True
    """Whether the policy learns to write the inserted sentence itself."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("width", self.width, 1)
        checks.within("probability", self.probability, 0.0, 1.0)
        checks.not_empty("pool", self.pool)

    def init(self, forest: Forest, key: int) -> Probing:  # noqa: ARG002 - the sampler protocol
        """State for a forest of roots."""
        return Probing(begun=False, probed=False)

    def ask(self, forest: Forest, state: Probing) -> Extension | None:
        """Roots, then open leaves until all have ended, then probes, then open leaves again."""
        rows = forest.open_rows() if state.begun else forest.roots()
        if len(rows):
            return Extension(rows=rows, counts=torch.full_like(rows, 1 if state.begun else self.width))
        ends = rows if state.probed or not state.begun or self.probability == 0 else self._chosen(forest)
        return self._probes(forest, ends) if len(ends) else None

    def _chosen(self, forest: Forest) -> Int[Tensor, " k"]:
        """Dead ends to probe: each by the number that its own key gives."""
        leaf = forest.leaves()
        wrong = forest["ok.total"][leaf] & (forest["reward.total"][leaf] < self.passing)
        own = (forest.parent[leaf] >= 0) & ~below_inserted(forest)[leaf]
        leaf = leaf[wrong & own & (forest["end"][leaf] == int(End.TERMINATED))]
        drawn = keys.uniform([keys.fold(key, "probe") for key in forest["key"][leaf].tolist()], 1)
        return leaf[torch.from_numpy(drawn).reshape(-1) < self.probability]

    def _probes(self, forest: Forest, ends: Int[Tensor, " k"]) -> Extension:
        own = forest["key"][ends]
        picked = [int(keys.generator(keys.fold(key, "pool")).integers(len(self.pool))) for key in own.tolist()]
        said = [Observation(text=text, continues=True) for text in self.pool]
        inserted = Inserted(
            shown=[said[place] for place in picked],
            texts=[self.pool[place] for place in picked],
            branch_of=own,
            pool=said,
            train=self.train,
        )
        return Extension(rows=forest.parent[ends], counts=torch.ones_like(ends), inserted=inserted)

    def review(self, forest: Forest, rows: Tensor, state: Probing) -> Forest:  # noqa: ARG002 - the sampler protocol
        """Score what has just ended."""
        ended = rows[forest["end"][rows] != int(End.OPEN)]
        return self.scorer(forest, ended) if len(ended) and self.probability > 0 else forest

    def tell(self, forest: Forest, rows: Tensor, state: Probing) -> Probing:
        """Remember that the roots were extended, and whether the probes were sent."""
        sent = bool((forest["origin"][rows] == int(Origin.INSERTED)).any())
        return Probing(begun=True, probed=state.probed or sent)
