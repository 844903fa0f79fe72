"""Preferences between trajectories of one task: better ones should have gained more likelihood than worse ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.forest import Forest
from milepost.part import Loss


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of leaves of one root."""

    better: Int[Tensor, " p"]
    worse: Int[Tensor, " p"]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.better)


def outcome_pairs(forest: Forest, *, margin: float) -> Pairs:
    """Every two trajectories of a root whose outcomes differ.

        (i, j) with R_i - R_j > margin,   R = sum of the total rewards on the path

    Args:
        forest: with `reward.total` and `ok.total`.
        margin: at least 0; equal outcomes never pair.

    Returns:
        The pairs, as rows of leaves; trajectories without an outcome are in none.

    Source: OPRL, every success with every failure of the same start.
    """
    ok = forest["ok.total"] & forest.valid("reward.total")
    earned = torch.where(ok, forest["reward.total"].double(), 0)
    leaf = forest.leaves()
    leaf = leaf[ok[leaf] & (forest.parent[leaf] >= 0)]
    value, root = segments.path_sum(earned, forest.parent)[leaf].float(), forest.root_of()[leaf]
    better: list[Tensor] = [leaf[:0]]
    worse: list[Tensor] = [leaf[:0]]
    for one in root.unique():
        own = (root == one).nonzero().squeeze(1)
        above, below = (value[own, None] - value[None, own] > margin).nonzero(as_tuple=True)
        better.append(leaf[own[above]])
        worse.append(leaf[own[below]])
    return Pairs(better=torch.cat(better), worse=torch.cat(worse))


def preference_loss(better: Float[Tensor, " p"], worse: Float[Tensor, " p"]) -> Float[Tensor, " p"]:
    """Loss of a pair under the Bradley-Terry model.

        loss = -log sigmoid(S_better - S_worse)

    Args:
        better: score of the better one, without unit.
        worse: score of the worse one.

    Returns:
        Nats, at least 0; ln 2 for equal scores. Its slope in either score is at most 1 in size.

    Source: DPO, arXiv:2305.18290, eq. 7.
    """
    return torch.nn.functional.softplus(worse - better)


@dataclass(frozen=True, kw_only=True)
class TrajectoryPreference:
    """DPO between whole trajectories, with the policy that sampled them as the reference.

        S(trajectory) = beta * sum over its trained tokens of (log phi - log pi_old),   loss = mean of preference_loss

    Only tokens that the policy chose count, observations never. Without pairs the loss is 0; see `ready`.

    Source: OPRL, the loss of the process reward model.   Limits: answers of one step give DPO with a rolling reference.

    Example:
        >>> TrajectoryPreference(beta=0.05).needs_reference
        False
    """

    beta: float = 0.05
    """Per nat."""
    margin: float = 0.0
    """Outcomes that differ by no more do not pair."""
    step_mean: bool = False
    """Whether a score is divided by the trajectory's steps, as the authors' code does."""
    needs_reference = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("beta", self.beta)
        checks.non_negative("margin", self.margin)

    def ready(self, forest: Forest) -> bool:
        """Whether the scored batch holds a pair."""
        return len(outcome_pairs(forest, margin=self.margin)) > 0

    def scores(self, forest: Forest, log_prob: Float[Tensor, " t"]) -> Float[Tensor, " n"]:
        """S of the trajectory that ends at each row.

        Args:
            forest: with tokens.
            log_prob: log-probability of every token under phi, in nats.

        Returns:
            One number per row.
        """
        mine = forest["tokens.train"] & forest.valid("tokens.log_prob")
        gain = torch.where(mine, log_prob - forest["tokens.log_prob"].to(log_prob.dtype), 0)
        own = log_prob.new_zeros(len(forest)).index_add(0, forest.token_row, gain)
        total = self.beta * segments.path_sum(own, forest.parent)
        return total / forest.depth().clamp(min=1) if self.step_mean else total

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:  # noqa: ARG002
        """Loss, `objective/loss`, `objective/pairs` and `objective/ranked`: pairs whose better one scores higher."""
        pairs = outcome_pairs(forest, margin=self.margin)
        score = self.scores(forest, log_prob)
        better, worse = score[pairs.better], score[pairs.worse]
        each = preference_loss(better, worse)
        loss = each.mean() if len(pairs) else 0 * log_prob.sum()
        ranked = float((better > worse).double().mean()) if len(pairs) else 0.0
        metrics = {"objective/loss": float(loss.detach()), "objective/pairs": float(len(pairs))}
        return Loss(loss=loss, metrics={**metrics, "objective/ranked": ranked})
