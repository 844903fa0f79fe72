"""Any objective of a policy, with a critic that learns its returns and a reward for staying undecided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.objectives.clipped import Clipped
from milepost.objectives.trained import trained
from milepost.part import Loss, Objective

RETURN = "feature.return"


class Appraisal(Protocol):
    """What an actor-critic says of every row, differentiable; 0 at roots."""

    @property
    def log_prob(self) -> Tensor:
        """Of the actions taken, in nats."""
        ...

    @property
    def entropy(self) -> Tensor:
        """Of the distributions they were drawn from, in nats."""
        ...

    @property
    def value(self) -> Tensor:
        """Of the states in which they were taken, one column per stream of rewards."""
        ...


def value_loss(
    value: Float[Tensor, "n s"], target: Float[Tensor, "n s"], counts: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Half the mean squared distance of the critic to its targets.

        1/2 mean over counting rows and streams of (V - return)^2

    Args:
        value: of the state in which each step was taken, one column per stream of rewards.
        target: return from the step on.
        counts: rows that count.

    Returns:
        Squared reward units; 0 where nothing counts.

    Source: PPO, arXiv:1707.06347, eq. 9, without a clip.
    """
    apart = torch.where(counts[:, None], value - target, 0).square()
    return apart.sum() / (2 * max(1, int(counts.sum()) * value.shape[1]))


@dataclass(frozen=True, kw_only=True)
class ActorCritic:
    """An objective of the policy, with the loss of a critic and an entropy bonus.

        loss = objective + value_weight * value_loss - entropy * mean entropy

    Without a critic it is the objective alone: of a policy that gives log-probabilities only, nothing else is known.

    Source: PPO, arXiv:1707.06347, eq. 9.   Limits: value_weight = entropy = 0 is the objective.

    Example:
        >>> ActorCritic(entropy=0.0).objective
        Clipped(low=0.2, high=0.2, normalise=TokenMean())
    """

    objective: Objective = field(default_factory=Clipped)
    value_weight: float = 0.5
    entropy: float = 0.01
    """Units of credit per nat, at least 0."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.non_negative("value_weight", self.value_weight)
        checks.non_negative("entropy", self.entropy)

    @property
    def needs_reference(self) -> bool:
        """Whether the objective inside needs one."""
        return self.objective.needs_reference

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss of the policy alone."""
        return self.objective(forest, log_prob, reference)

    def appraised(self, forest: Forest, appraisal: Appraisal, reference: Tensor | None = None) -> Loss:
        """Loss of actor and critic, and `objective/*` metrics."""
        inner = self.objective(forest, appraisal.log_prob, reference)
        counts = trained(forest, appraisal.log_prob).mask
        many = max(1, int(counts.sum()))
        entropy = torch.where(counts, appraisal.entropy, 0).sum() / many
        loss, metrics = inner.loss - self.entropy * entropy, dict(inner.metrics)
        if appraisal.value.shape[1]:
            if RETURN not in forest:
                raise ColumnError(
                    f"A critic learns from column {RETURN!r}, but the forest has: {', '.join(forest.names)}. Give it "
                    "credit with credit.returns.Advantages or NStep."
                )
            learnt = value_loss(appraisal.value, forest[RETURN], counts & forest.valid(RETURN))
            loss = loss + self.value_weight * learnt
            metrics["objective/value_loss"] = float(learnt.detach())
        metrics |= {"objective/entropy": float(entropy.detach()), "objective/loss": float(loss.detach())}
        return Loss(loss=loss, metrics=metrics)
