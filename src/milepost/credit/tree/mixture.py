"""Probabilities of a batch that two samplers made: the policy, and probes that resume its failures.

Two corrections. Per token, as published: a heuristic whose weights are bounded by 1 / (1 - share), biased because the
density of a prefix that was conditioned on failing leaves out how likely that prefix is to fail. Per trajectory: exact
when that chance is known, at the price of weights that nearly discard the probes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, segments
from milepost.columns import Role
from milepost.credit.tree.separate import as_its_own, branched, inserted_rows, separate
from milepost.forest import Forest


def mixture_log_prob(log_pi: Float[Tensor, " u"], log_mu: Float[Tensor, " u"], *, share: float) -> Float[Tensor, " u"]:
    """Log-density of a mixture of the policy and the probes.

        log q = log( (1 - share) pi + share mu )

    Args:
        log_pi: log-probability under the policy that sampled, in nats.
        log_mu: log-density under the probes, in nats; -inf where they never produce it.
        share: part of the trajectories that are probes, in [0, 1).

    Returns:
        Nats.

    Source: REX-RAG, arXiv:2508.08149, the mixture behaviour policy.   Limits: share 0 is `log_pi`.
    """
    if share == 0:
        return log_pi
    return torch.logaddexp(log_pi + math.log1p(-share), log_mu + math.log(share))


def trajectory_weight(log_odds: Float[Tensor, " k"], *, share: float) -> Float[Tensor, " k"]:
    """Importance weight of whole trajectories in a mixture: the balance heuristic.

        weight = pi / ((1 - share) pi + share mu) = 1 / (1 - share + share exp(log mu - log pi))

    Args:
        log_odds: log mu - log pi of each trajectory; -inf where the probes never produce it.
        share: part of the trajectories that are probes, in [0, 1).

    Returns:
        A weight in (0, 1 / (1 - share)]. With it the mean over originals and probes is that of the policy.

    Source: multiple importance sampling, Veach and Guibas 1995; REX-RAG, arXiv:2508.08149, names it.
    """
    return 1 / (1 - share + share * log_odds.exp())


@dataclass(frozen=True, kw_only=True, eq=False)
class Makers:
    """Who made the trajectories of a batch of chains."""

    chain: Tensor
    """Number of the chain of each row."""
    probe: Bool[Tensor, " k"]
    """Whether each chain is a probe."""
    counts: Bool[Tensor, " k"]
    """Whether it counts: a probe that was not kept does not."""
    share: float
    """Part of the chains that count which are probes."""
    failing: Float[Tensor, ""]
    """Share of wrong ones among the originals: z."""
    failing_here: Float[Tensor, " k"]
    """The same among the originals of each chain's own task."""


def _makers(chains: Forest, task: Tensor, passing: float) -> Makers:
    roots = chains.roots()
    number = torch.zeros(len(chains), dtype=torch.int64).index_copy(0, roots, torch.arange(len(roots)))
    chain = number[chains.root_of()]
    leaf = chains.leaves()
    size = len(roots)
    probe = torch.zeros(size, dtype=torch.bool).index_copy(0, chain[leaf], branched(chains)[leaf])
    counts = torch.zeros(size, dtype=torch.bool).index_copy(0, chain[leaf], chains.valid("advantage")[leaf])
    ok = chains["ok.total"][leaf]
    wrong = torch.where(ok, (chains["reward.total"][leaf] < passing).double(), 0)
    judged = ok & ~probe[chain[leaf]]
    whole = wrong[judged].mean() if bool(judged.any()) else wrong.new_zeros(())
    here = segments.group_mean(wrong, task, int(task.max()) + 1 if len(task) else 0, judged)[task]
    share = float((probe & counts).sum()) / max(int(counts.sum()), 1)
    return Makers(chain=chain, probe=probe, counts=counts, share=share, failing=whole, failing_here=here)


def _tasks(forest: Forest) -> Tensor:
    leaf = forest.leaves()
    return forest.root_of()[leaf[forest.parent[leaf] >= 0]]


@dataclass(frozen=True, kw_only=True)
class TokenMixture:
    """View in which every token was sampled by the mixture of originals and probes, token by token.

    A probe's tokens have the density pi / z^(1/L) before the insertion (L of them), that of the draw inside it, pi
    after it; an original's tokens have none under the probes, so that the ratio of each is 1 / (1 - share). Where that
    alone would pass the clip at 1 + `high`, all good originals would stop learning: then they keep the policy's own
    probabilities. A batch without probes is trained as it is.

    Implements `recipe.View`. It is a heuristic of bounded bias: `TrajectoryMixture` is exact.

    Source: REX-RAG, arXiv:2508.08149, policy correction, as in the authors' code.

    Example:
        >>> TokenMixture().high
        0.2
    """

    passing: float = 1.0
    """Total reward from which an answer is right."""
    high: float = 0.2
    """Upper clip of the objective."""

    def __post_init__(self) -> None:
        """Check the clip."""
        checks.positive("high", self.high)

    def __call__(self, forest: Forest) -> Forest:
        """The forest to train on: separate trajectories with `tokens.log_prob` of the mixture."""
        if not bool(inserted_rows(forest).any()):
            return forest
        chains = as_its_own(separate(forest))
        made = _makers(chains, _tasks(forest), self.passing)
        if made.share == 0:
            return chains
        log_pi = chains["tokens.log_prob"]
        mixed = mixture_log_prob(log_pi.double(), _probe_log_prob(chains, made), share=made.share)
        if 1 / (1 - made.share) > 1 + self.high:
            mixed = torch.where(made.probe[made.chain[chains.token_row]], mixed, log_pi.double())
        valid = chains.valid("tokens.log_prob")
        mixed = torch.where(valid, mixed, 0).float()
        return chains.with_columns({"tokens.log_prob": mixed}).with_valid("tokens.log_prob", valid)


def _probe_log_prob(chains: Forest, made: Makers) -> Tensor:
    """Published density of each token under the probes; -inf in originals."""
    row = chains.token_row
    inserted = inserted_rows(chains)
    before = ~branched(chains)[row] & chains["tokens.train"]
    chain = made.chain[row]
    length = torch.zeros(len(made.probe), dtype=torch.float64).index_add_(0, chain[before], before[before].double())
    lift = -made.failing.log() / length.clamp(min=1) if float(made.failing) > 0 else torch.zeros_like(length)
    log_mu = chains["tokens.log_prob"].double() + torch.where(before, lift[chain], 0)
    if "tokens.drawn_log_prob" in chains:
        drawn = inserted[row] & chains.valid("tokens.drawn_log_prob")
        log_mu = torch.where(drawn, chains["tokens.drawn_log_prob"].double(), log_mu)
    return torch.where(made.probe[chain], log_mu, -torch.inf)


@dataclass(frozen=True, kw_only=True)
class TrajectoryMixture:
    """View in which the credit of each trajectory is weighted by how much likelier the policy alone makes it.

        weight = pi(o) / ((1 - share) pi(o) + share mu(o)),   mu(o) = pi(s) w(s) / z * p(x) * pi(rest | s, x)

    s is what stands before the insertion x, w(s) the chance that the policy fails after it, z that it fails at all. For
    w the failure rate among the originals of the same task is taken, the nearest thing that is observed; with the true
    one the estimate is unbiased. The selection of probes is not corrected for. A batch without probes is trained as is.

    Implements `recipe.View`.   Source: milepost, after REX-RAG, arXiv:2508.08149.

    Example:
        >>> TrajectoryMixture().passing
        1.0
    """

    passing: float = 1.0
    """Total reward from which an answer is right."""

    def __call__(self, forest: Forest) -> Forest:
        """The forest to train on: separate trajectories with weighted `advantage`."""
        if not bool(inserted_rows(forest).any()):
            return forest
        chains = separate(forest)
        made = _makers(chains, _tasks(forest), self.passing)
        log_odds = torch.where(made.probe, made.failing_here.log() - made.failing.log(), -torch.inf)
        log_odds = log_odds + _insertion_odds(chains, made)
        weight = trajectory_weight(log_odds, share=made.share)[made.chain]
        valid = chains.valid("advantage")
        value = torch.where(valid, chains["advantage"].double() * weight, 0)
        return as_its_own(chains).with_columns({"advantage": value}).with_valid("advantage", valid)


def _insertion_odds(chains: Forest, made: Makers) -> Tensor:
    """Log of how much likelier the draw makes the inserted text than the policy, per chain."""
    if "tokens.drawn_log_prob" not in chains:
        return torch.zeros(len(made.probe), dtype=torch.float64)
    mine = (chains["tokens.role"] == int(Role.INSERTED)) & chains.valid("tokens.drawn_log_prob")
    gap = torch.where(mine, chains["tokens.drawn_log_prob"].double() - chains["tokens.log_prob"].double(), 0)
    total = torch.zeros(len(made.probe), dtype=torch.float64)
    return total.index_add_(0, made.chain[chains.token_row], gap)
