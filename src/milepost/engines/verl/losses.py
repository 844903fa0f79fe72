"""Surrogates as verl's policy losses; verl aggregates them and scales them over its processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, cast

import torch
from torch import Tensor

from milepost import optional
from milepost.objectives.clipped import clip_marks, clipped_surrogate
from milepost.objectives.sequence_ratio import sequence_log_ratio
from milepost.ragged import Ragged, offsets_of

FURTHEST = 20.0
"""Largest logarithm of a token's ratio, in nats, as verl has it."""
FURTHEST_OF_ROWS = 10.0
"""Largest logarithm of a row's ratio, in nats, as verl has it."""


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """The clipped surrogate of padded rows, as trainers hold them.

    Source: PPO, arXiv:1707.06347, eq. 7; dual clip arXiv:1912.09729, eq. 5; one ratio per row GSPO, arXiv:2507.18071.
    """

    dual: bool = False
    """Whether the ratio of bad tokens is bounded by `clip_ratio_c`."""
    ratio: Literal["token", "sequence"] = "token"
    """Whether every token has its own ratio, or all of a row the same."""

    def gains(
        self, log_r: Tensor, advantages: Tensor, mask: Tensor, *, low: float, high: float, bound: float
    ) -> tuple[Tensor, float]:
        """The gain of each token.

        Args:
            log_r: (rows, tokens), logarithm of the ratio in nats, 0 where the mask is not set.
            advantages: (rows, tokens).
            mask: (rows, tokens), which tokens count.
            low: how far the ratio may fall below 1.
            high: how far it may rise above 1.
            bound: largest ratio of a bad token; infinite for none.

        Returns:
            The gain of each token, and the share of tokens whose ratio was clipped.
        """
        log_r = log_r.clamp(-FURTHEST, FURTHEST) if self.ratio == "token" else _of_rows(log_r, mask)
        flat = {"log_r": log_r.flatten(), "advantage": advantages.flatten()}
        gain = clipped_surrogate(**flat, low=low, high=high, bound=bound).view_as(log_r)
        marks = clip_marks(**flat, low=low, high=high)
        return gain, _mean((marks.below + marks.above).view_as(log_r)[mask])


@dataclass(frozen=True, kw_only=True)
class ClippedLoss:
    """The clipped surrogate with the signature of verl's policy losses.

    The limits are verl's own settings: `clip_ratio_low`, `clip_ratio_high` (or `clip_ratio`) and, where bad tokens are
    bounded, `clip_ratio_c`.
    """

    surrogate: Surrogate = field(default_factory=Surrogate)

    def __call__(
        self,
        old_log_prob: Tensor,
        log_prob: Tensor,
        advantages: Tensor,
        response_mask: Tensor,
        loss_agg_mode: str = "token-mean",
        config: Any = None,
        rollout_is_weights: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Loss of a batch.

        Args:
            old_log_prob: (rows, tokens), in nats.
            log_prob: (rows, tokens), in nats; carries the gradient.
            advantages: (rows, tokens).
            response_mask: (rows, tokens).
            loss_agg_mode: one of verl's, see its `agg_loss`.
            config: verl's settings of the actor.
            rollout_is_weights: verl's correction for another engine's samples.

        Returns:
            The loss, and its metrics by name.
        """
        low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
        high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
        bound = float(config.get("clip_ratio_c", 3.0)) if self.surrogate.dual else math.inf
        mask = response_mask > 0
        log_r = torch.where(mask, log_prob - old_log_prob, 0)
        gain, clipped = self.surrogate.gains(log_r, advantages, mask, low=low, high=high, bound=bound)
        gain = gain if rollout_is_weights is None else gain * rollout_is_weights
        algorithms = optional.load("verl.trainer.ppo.core_algos", extra="verl", purpose="milepost's loss in verl")
        scale = cast("Mapping[str, Any]", config.global_batch_info)
        loss = algorithms.agg_loss(loss_mat=-gain, loss_mask=response_mask, loss_agg_mode=loss_agg_mode, **scale)
        distance = -(log_r.clamp(-FURTHEST, FURTHEST) if self.surrogate.ratio == "token" else log_r)[mask].detach()
        return loss, {"actor/pg_clipfrac": clipped, "actor/ppo_kl": _mean(distance)}


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def _of_rows(log_r: Tensor, mask: Tensor) -> Tensor:
    """The ratio of each row for all of its tokens; the gradient of a token is its own, so credit may differ in a row.

        log s_it = sg(log s_i) + log_prob_it - sg(log_prob_it)

    Source: GSPO-token, arXiv:2507.18071, section 4.3; with one credit per row it is GSPO.
    """
    rows, width = log_r.shape
    every = Ragged(torch.arange(rows), offsets_of(torch.ones(rows, dtype=torch.int64)))
    owner = torch.arange(rows).repeat_interleave(width)
    device = log_r.device
    if device.type != "cpu":
        every = Ragged(every.values.to(device), every.offsets.to(device))
    found = sequence_log_ratio(log_r.flatten(), owner.to(device), mask.sum(1), every)
    return (log_r - log_r.detach() + found.detach()[:, None]).clamp(max=FURTHEST_OF_ROWS)


LOSSES: Mapping[str, ClippedLoss] = MappingProxyType({
    "milepost_clipped": ClippedLoss(),
    "milepost_dual_clipped": ClippedLoss(surrogate=Surrogate(dual=True)),
    "milepost_sequence_clipped": ClippedLoss(surrogate=Surrogate(ratio="sequence")),
})  # fmt: skip
"""Names for `actor_rollout_ref.actor.policy_loss.loss_mode` that installing milepost is enough for."""
