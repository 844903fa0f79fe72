"""Which probes to keep: those whose inserted text the policy finds likeliest, as many as earlier ones deserved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.credit.by_root import mean_below, trajectories
from milepost.credit.compare import Compared, GroupRule, GroupSums
from milepost.credit.group import Normalised, zero_sums
from milepost.credit.tree.separate import branched, inserted_rows
from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class Quota:
    """State of `KeepLikely`: the share of the originals that may be added as probes."""

    share: float


def insertion_score(forest: Forest) -> Float[Tensor, " n"]:
    """How likely the policy finds the text inserted above each row.

        score_i = mean over the inserted tokens at or above i of log pi(token)

    Args:
        forest: with `tokens.log_prob` of the inserted text.

    Returns:
        Nats per token; -inf where nothing is inserted.

    Source: REX-RAG, arXiv:2508.08149, trajectory filtering.
    """
    mine = inserted_rows(forest)[forest.token_row] & forest.valid("tokens.log_prob")
    size = len(forest)
    value = torch.where(mine, forest["tokens.log_prob"].double(), 0)
    total = torch.zeros(size, dtype=torch.float64).index_add_(0, forest.token_row, value)
    count = torch.zeros(size, dtype=torch.float64).index_add_(0, forest.token_row, mine.double())
    own = torch.where(count > 0, total / count.clamp(min=1), -torch.inf)
    found = own
    for row in branched(forest).nonzero().squeeze(1).tolist():  # parents come first
        if count[row] == 0:
            found[row] = found[int(forest.parent[row])]
    return found


@dataclass(frozen=True, kw_only=True)
class KeepLikely:
    """Group credit over originals and the probes that are kept; the others do not count.

    Of the probes of a batch the floor(originals * share) with the likeliest insertions are kept. The share follows the
    success of the kept ones: share <- (1 - follow) share + follow accuracy, unchanged where none was kept.

    Source: REX-RAG, arXiv:2508.08149, adaptive filtering.   Limits: without probes `by_root.ByRoot`, to the bit.

    Example:
        >>> KeepLikely().init().share
        0.08
    """

    reads = ("reward.total", "ok.total", "origin", "tokens.log_prob", "tokens.role")
    writes = ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    start: float = 0.08
    """Share before the first batch, in [0, 1]."""
    follow: float = 0.1
    """Weight of a new batch in the share, in [0, 1]."""
    passing: float = 1.0
    """Total reward from which a probe succeeded."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("start", self.start, 0.0, 1.0)
        checks.within("follow", self.follow, 0.0, 1.0)

    def init(self) -> Quota:
        """State before the first batch."""
        return Quota(share=self.start)

    def apply(self, forest: Forest, state: Quota) -> tuple[Forest, Quota]:
        """Write `advantage`, and follow the success of the kept probes."""
        found = trajectories(forest)
        probe = branched(forest)[found.row]
        if not bool(probe.any()):
            return mean_below(forest, found, self.rule.of(found)), state
        kept = self._kept(forest, found, probe, state)
        ok = found.ok & (kept | ~probe)
        compared = Compared(
            row=found.row, value=found.value.where(ok, 0), group=found.group, groups=found.groups, ok=ok
        )
        credited = mean_below(forest, compared, self.rule.of(compared))
        if not bool(kept.any()):
            return credited, state
        won = float((found.value[kept] >= self.passing).double().mean())
        return credited, Quota(share=(1 - self.follow) * state.share + self.follow * won)

    def _kept(self, forest: Forest, found: Compared, probe: Tensor, state: Quota) -> Tensor:
        fit = probe & found.ok
        quota = math.floor(int((~probe).sum()) * state.share + 1e-9)
        score = insertion_score(forest)[found.row].where(fit, -torch.inf)
        order = score.argsort(descending=True, stable=True)[: min(quota, int(fit.sum()))]
        return torch.zeros_like(probe).index_fill(0, order, True)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage` as for the first batch."""
        return self.apply(forest, self.init())[0]

    def sums(self, forest: Forest) -> GroupSums:
        """The credit of the leaves of a root that count sums to 0."""
        found = trajectories(forest)
        ok = found.ok & forest.valid("advantage")[found.row]
        return zero_sums(Compared(row=found.row, value=found.value, group=found.group, groups=found.groups, ok=ok))

    def metrics(self, forest: Forest, state: Quota) -> Mapping[str, float]:
        """Probes sent and kept, the share of probes in the batch, the next quota, and the weight of an original."""
        leaf = forest.leaves()
        leaf = leaf[forest.parent[leaf] >= 0]
        probe, counts = branched(forest)[leaf], forest.valid("advantage")[leaf]
        share = float((probe & counts).sum()) / max(int(counts.sum()), 1)
        return {
            "credit/probes": float(probe.sum()),
            "credit/probes_kept": float((probe & counts).sum()),
            "credit/probe_share": share,
            "credit/probe_quota": state.share,
            "credit/original_weight": 1 / (1 - share) if share < 1 else math.inf,
        }
