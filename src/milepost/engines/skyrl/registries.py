"""SkyRL's two registries, filled with milepost's credit rules and losses.

SkyRL tells an estimator what verl tells one, so the estimators are the same. Its losses sum: SkyRL has scaled the
advantages before. Call `register()` in the script that starts SkyRL, before its trainer is built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from milepost import optional
from milepost.engines.verl.estimators import ESTIMATORS, Estimator
from milepost.engines.verl.losses import LOSSES as OF_VERL
from milepost.engines.verl.losses import Surrogate
from milepost.part import Credit

_PURPOSE = "milepost in SkyRL"


@dataclass(frozen=True, kw_only=True)
class ClippedLoss:
    """The clipped surrogate with the signature of SkyRL's policy losses.

    The limits are SkyRL's own settings: `eps_clip_low`, `eps_clip_high` and, where bad tokens are bounded,
    `clip_ratio_c`; so is its correction for another engine's samples.
    """

    surrogate: Surrogate = field(default_factory=Surrogate)

    def __call__(
        self,
        log_probs: Tensor,
        old_log_probs: Tensor,
        advantages: Tensor,
        config: Any,
        loss_mask: Tensor | None = None,
        rollout_logprobs: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch.

        Args:
            log_probs: (rows, tokens), in nats; carries the gradient.
            old_log_probs: (rows, tokens), in nats.
            advantages: (rows, tokens), scaled so that the sum over tokens is what SkyRL's `loss_reduction` says.
            config: SkyRL's settings of the algorithm.
            loss_mask: (rows, tokens); None: every token counts.
            rollout_logprobs: (rows, tokens), of the engine that sampled.

        Returns:
            The sum over tokens, and its metrics by name.
        """
        chosen = torch.ones_like(log_probs) if loss_mask is None else loss_mask
        mask = chosen > 0
        low, high = float(config.eps_clip_low), float(config.eps_clip_high)
        bound = float(config.clip_ratio_c) if self.surrogate.dual else math.inf
        log_r = torch.where(mask, log_probs - old_log_probs, 0)
        gain, clipped = self.surrogate.gains(log_r, advantages, mask, low=low, high=high, bound=bound)
        correction = optional.load(
            "skyrl.backends.skyrl_train.utils.off_policy_correction_utils", extra="skyrl", purpose=_PURPOSE
        )
        loss, chosen, told = correction.apply_off_policy_correction(
            -gain, old_log_probs, rollout_logprobs, chosen, config.off_policy_correction
        )
        return torch.where(chosen > 0, loss * chosen, 0).sum(), {"clip_ratio": clipped, **told}


LOSSES: Mapping[str, ClippedLoss] = MappingProxyType({
    name: ClippedLoss(surrogate=one.surrogate) for name, one in OF_VERL.items()
})  # fmt: skip
"""Names for `trainer.algorithm.policy_loss_type`."""


def register_credit(name: str, credit: Credit) -> Estimator:
    """Give a credit rule a name that `trainer.algorithm.advantage_estimator` can say.

    Args:
        name: the name; SkyRL refuses one that is taken.
        credit: the rule.

    Returns:
        What SkyRL calls.

    Raises:
        SettingError: the rule needs what SkyRL does not tell an estimator.
        MissingExtra: SkyRL is not installed.
    """
    estimator = Estimator(credit=credit)
    _registries().AdvantageEstimatorRegistry.register(name, estimator)
    return estimator


def register() -> None:
    """Register everything that milepost brings; doing it again changes nothing.

    Raises:
        MissingExtra: SkyRL is not installed.
    """
    found = _registries()
    estimators, losses = found.AdvantageEstimatorRegistry, found.PolicyLossRegistry
    for name, credit in ESTIMATORS.items():
        if name not in estimators.list_available():
            register_credit(name, credit)
    for name, loss in LOSSES.items():
        if name not in losses.list_available():
            losses.register(name, loss)


def _registries() -> Any:
    return optional.load("skyrl.backends.skyrl_train.utils.ppo_utils", extra="skyrl", purpose=_PURPOSE)
