"""One objective for two credit rules: their losses are added, not their credits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.part import Credit, Loss, Objective


@dataclass(frozen=True, kw_only=True)
class WithCredit:
    """An objective on the credit of the recipe, and again on that of a second rule, weighted and added.

        loss = first_weight * L(A) + second_weight * L(A'),   A' = credit(forest)

    Where the objective clips, this is not the objective on A + A': each credit is clipped by its own sign. The groups
    of the second rule must lie below single roots, since a minibatch holds whole roots.

    Source: the dual-reward GRPO of Euphonium, 2026; one loss per reward as in DanceGRPO, arXiv:2505.07818.
    Limits: second_weight = 0 and first_weight = 1 is the objective.

    Example:
        >>> import torch
        >>> from milepost.credit.group import Centred
        >>> from milepost.objectives.clipped import Clipped
        >>> batch = {"log_prob": [None, -1.0, -1.0], "advantage": [None, 1.0, 1.0], "reward.total": [None, 2.0, 0.0]}
        >>> forest = Forest.of([-1, 0, 0], {**batch, "ok.total": [False, True, True]})
        >>> both = WithCredit(objective=Clipped(), credit=Centred(), second_weight=0.5)
        >>> round(float(both(forest, torch.tensor([0.0, -1.0, -1.0])).loss), 6)
        -1.0
    """

    objective: Objective
    credit: Credit
    """The second rule; it writes `advantage`."""
    first_weight: float = 1.0
    second_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check the weights."""
        checks.non_negative("first_weight", self.first_weight)
        checks.non_negative("second_weight", self.second_weight)

    @property
    def needs_reference(self) -> bool:
        """Whether the objective does."""
        return self.objective.needs_reference

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss and the objective's metrics on the first credit, with `objective/second_loss`."""
        first = self.objective(forest, log_prob, reference)
        if self.second_weight == 0:
            return Loss(loss=self.first_weight * first.loss, metrics=first.metrics)
        second = self.objective(self.credit(forest), log_prob, reference)
        loss = self.first_weight * first.loss + self.second_weight * second.loss
        told = {"objective/second_loss": float(second.loss.detach()), "objective/loss": float(loss.detach())}
        return Loss(loss=loss, metrics={**first.metrics, **told})
