"""A learned reward beside the policy: its own weights and optimiser, trained on every scored batch before credit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from milepost import keys
from milepost.engines.settings import UpdateSettings
from milepost.engines.update import Updater, optimiser_for, optimiser_state, restore_optimiser
from milepost.forest import Forest
from milepost.part import Learner
from milepost.recipe import LearnedReward


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A batch with the learned reward, and the numbers of its update."""

    forest: Forest
    numbers: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What learns a reward while a policy learns to act."""

    part: LearnedReward
    updater: Updater

    @staticmethod
    def of(part: LearnedReward, learner: Learner, settings: UpdateSettings) -> Beside:
        """Put a learned reward beside a policy.

        Args:
            part: what is learned.
            learner: a copy of the policy as it is before training.
            settings: those of the policy's update; learning rate and clip are the part's own.

        Returns:
            The learner, with a fresh optimiser.
        """
        own = replace(settings, learning_rate=part.learning_rate, gradient_clip=part.gradient_clip, minibatches=1)
        return Beside(
            part=part,
            updater=Updater(
                policy=learner,
                objective=part.objective,
                optimiser=optimiser_for(learner, own),
                settings=own,
                reference=None,
            ),
        )

    @property
    def version(self) -> int:
        """Updates that its weights have seen."""
        return self.updater.policy.version

    def __call__(self, forest: Forest, key: int) -> Taught:
        """Learn from a batch if it holds anything to learn from, then score it with the new weights.

        Args:
            forest: the scored batch.
            key: of this batch.

        Returns:
            The batch with the learned reward, and metrics named `learned/...`; `learned/skipped` is 1 where the weights
            stayed what they were.
        """
        ready = self.part.ready(forest)
        found = self.updater(forest, keys.fold(key, "learned")) if ready else {}
        with torch.no_grad():
            log_prob = self.updater.policy.log_prob(forest, torch.arange(len(forest)))
        numbers = {f"learned/{name.partition('/')[2]}": value for name, value in found.items()}
        return Taught(
            forest=self.part.score(forest, log_prob), numbers={**numbers, "learned/skipped": float(not ready)}
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights and moments by name, for a checkpoint."""
        weights = self.updater.policy.trainable()
        moments = optimiser_state(self.updater.optimiser, list(weights))
        return {f"weights/{n}": t for n, t in weights.items()} | {f"optimiser/{n}": t for n, t in moments.items()}

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Put back what `tensors` returned.

        Args:
            tensors: by name.
            version: updates that the weights had seen.
        """

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

        self.updater.policy.restore(part("weights/"), version)
        restore_optimiser(self.updater.optimiser, list(self.updater.policy.trainable()), part("optimiser/"))
