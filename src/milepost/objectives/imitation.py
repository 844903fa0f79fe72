"""A pull towards steps of a teacher, added to any objective."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from milepost import checks
from milepost.columns import Origin
from milepost.forest import Forest
from milepost.part import Loss, Objective


@dataclass(frozen=True, kw_only=True)
class Imitating:
    """Any objective with the weighted log-likelihood of a teacher's steps.

        loss + coefficient * sum over rows of origin TEACHER of -weight log pi / number of these rows

    The teacher's steps have a `weight` and no log-probability of their own, so that the objective itself passes them
    by. A recipe's view puts them into the batch.

    Source: the supervised term of LayerTuning-RL in Dynamic-TreeRPO, arXiv:2509.23352.
    Limits: without such rows it is the objective.

    Example:
        >>> from milepost.objectives.clipped import Clipped
        >>> Imitating(objective=Clipped(), coefficient=0.05).needs_reference
        False
    """

    objective: Objective
    """What the pull is added to."""
    coefficient: float = 0.05
    """lambda, at least 0."""

    def __post_init__(self) -> None:
        """Check the coefficient."""
        checks.non_negative("coefficient", self.coefficient)

    @property
    def needs_reference(self) -> bool:
        """As the objective's."""
        return self.objective.needs_reference

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss and `objective/*` metrics; `objective/imitation` is the mean of weight times -log pi, in nats."""
        inner = self.objective(forest, log_prob, reference)
        if "origin" not in forest or "weight" not in forest or forest.token_offsets is not None:
            return inner
        taught = (forest["origin"] == int(Origin.TEACHER)) & forest.valid("origin") & forest.valid("weight")
        if not bool(taught.any()):
            return inner
        weight = torch.where(taught, forest["weight"], 0).to(log_prob.dtype)
        pull = -(weight * log_prob.where(taught, 0)).sum() / taught.sum()
        loss = inner.loss + self.coefficient * pull
        found = {"objective/imitation": float(pull.detach()), "objective/loss": float(loss.detach())}
        return Loss(loss=loss, metrics={**inner.metrics, **found})
