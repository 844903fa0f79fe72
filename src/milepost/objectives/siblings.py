"""Preferences between siblings: of two steps from one prefix the better one should have gained more likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.objectives.pairs import Pairs, preference_loss
from milepost.part import Loss


def sibling_pairs(forest: Forest) -> Pairs:
    """Every two siblings of which one has positive and one negative credit.

        (i, j) with parent_i = parent_j, A_i > 0 > A_j

    Args:
        forest: with `advantage`.

    Returns:
        The pairs, as rows; better ones rise, and below each of them worse ones.

    Source: SPORT, a chosen step with each rejected one: a trajectory of m steps with n candidates has m (n - 1) pairs.
    """
    credit = torch.where(forest.valid("advantage"), forest["advantage"], 0)
    better, worse = (credit > 0).nonzero().squeeze(1), (credit < 0).nonzero().squeeze(1)
    below = forest.parent >= 0
    better, worse = better[below[better]], worse[below[worse]]
    above, other = (forest.parent[better][:, None] == forest.parent[worse][None, :]).nonzero(as_tuple=True)
    return Pairs(better=better[above], worse=worse[other])


@dataclass(frozen=True, kw_only=True)
class SiblingPreference:
    """DPO between siblings; only the step's own trained tokens count, the prefix is the same.

        S_i = beta * sum over the trained tokens of step i of (log pi - log pi_ref),   loss = mean of preference_loss

    Without pairs the loss is 0.

    Source: SPORT, eq. of the step-wise preference loss; DPO, arXiv:2305.18290, eq. 7.
    Limits: at pi = pi_ref the loss is ln 2 for any beta.

    Example:
        >>> forest = Forest.of([-1, 0, 0], {"log_prob": [None, -1.0, -1.0], "advantage": [None, 1.0, -1.0]})
        >>> now = torch.tensor([0.0, -1.0, -1.0])
        >>> round(float(SiblingPreference()(forest, now, now).loss), 4)
        0.6931
    """

    beta: float = 0.1
    """Per nat."""
    needs_reference = True

    def __post_init__(self) -> None:
        """Check the range."""
        checks.positive("beta", self.beta)

    def scores(self, forest: Forest, log_prob: Tensor, reference: Tensor) -> Float[Tensor, " n"]:
        """S of every row.

        Args:
            forest: with tokens, or without: then one value per row is meant.
            log_prob: log-probability of every token, in nats.
            reference: the same under the reference policy.

        Returns:
            One number per row.
        """
        gain = log_prob - reference.to(log_prob.dtype)
        if forest.token_offsets is None:
            return self.beta * torch.where(forest.valid("log_prob"), gain, 0) if "log_prob" in forest else gain * 0
        own = log_prob.new_zeros(len(forest))
        return self.beta * own.index_add(0, forest.token_row, torch.where(forest["tokens.train"], gain, 0))

    def __call__(self, forest: Forest, log_prob: Tensor, reference: Tensor | None = None) -> Loss:
        """Loss, `objective/loss`, `objective/pairs` and `objective/ranked`: pairs whose better one scores higher.

        Raises:
            SettingError: no reference is given.
        """
        if reference is None:
            raise SettingError("SiblingPreference needs log-probabilities under a reference policy: pass `reference`.")
        pairs = sibling_pairs(forest)
        score = self.scores(forest, log_prob, reference)
        better, worse = score[pairs.better], score[pairs.worse]
        loss = preference_loss(better, worse).mean() if len(pairs) else 0 * log_prob.sum()
        ranked = float((better > worse).double().mean()) if len(pairs) else 0.0
        metrics = {"objective/loss": float(loss.detach()), "objective/pairs": float(len(pairs))}
        return Loss(loss=loss, metrics={**metrics, "objective/ranked": ranked})
