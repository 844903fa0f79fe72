"""A process reward without labels: how much likelier a step is to a model trained on outcomes than to the sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Objective


def implicit_reward(log_phi: Float[Tensor, " n"], log_old: Float[Tensor, " n"], *, beta: float) -> Float[Tensor, " n"]:
    """Reward of a step as a log-ratio of two policies.

        r = beta * (log phi(a | s) - log pi_old(a | s))

    Args:
        log_phi: log-probability of the step under the reward's own model, in nats.
        log_old: under the policy that sampled it, in nats.
        beta: above 0, reward per nat.

    Returns:
        Units of beta times nats. In every state E_old[exp(r / beta)] = 1, hence E_old[r] = -beta KL(pi_old || phi), at
        most 0: compare it with other steps, never add it to a reward as it is.

    Source: OPRL, the implicit step reward; Rafailov et al. 2024, arXiv:2404.12358.
    """
    return beta * (log_phi - log_old)


class PairwiseObjective(Objective, Protocol):
    """An objective that says whether a batch holds anything for it."""

    def ready(self, forest: Forest) -> bool:
        """Whether there is something to learn from."""
        ...


@dataclass(frozen=True, kw_only=True)
class Implicit:
    """Learned reward of steps: `implicit_reward` summed over the tokens that the policy chose.

    Implements `recipe.LearnedReward`: its weights start as a copy of the policy and are trained on every batch that has
    a pair of different outcomes, before the batch is scored with them. Training it costs as much again as the policy's
    own update, and none of the units of cost counts either.

    Source: OPRL.   Limits: at weights equal to the sampling policy every reward is 0.
    """

    objective: PairwiseObjective
    """Trains its weights, such as `objectives.pairs.TrajectoryPreference`."""
    beta: float = 0.05
    """Reward per nat; that of the objective."""
    learning_rate: float = 1e-6
    gradient_clip: float = 10.0
    name: str = "implicit"

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("beta", self.beta)
        checks.positive("learning_rate", self.learning_rate)
        checks.positive("gradient_clip", self.gradient_clip)

    def ready(self, forest: Forest) -> bool:
        """Whether the batch holds a pair."""
        return self.objective.ready(forest)

    def score(self, forest: Forest, log_prob: Tensor) -> Forest:
        """Write the reward of every step that has a trained token; the others have none."""
        mine = forest["tokens.train"] & forest.valid("tokens.log_prob")
        size, row = len(forest), forest.token_row
        new, old = (
            torch.zeros(size, dtype=torch.float64).index_add_(0, row, torch.where(mine, value.double(), 0))
            for value in (log_prob.detach(), forest["tokens.log_prob"])
        )
        ok = torch.zeros(size, dtype=torch.bool).index_fill_(0, row[mine], True)
        value = implicit_reward(new, old, beta=self.beta).where(ok, torch.nan).float()
        columns = {f"reward.{self.name}": value, f"ok.{self.name}": ok, f"reason.{self.name}": [None] * size}
        return forest.with_columns(columns).with_valid(f"reward.{self.name}", ok)
