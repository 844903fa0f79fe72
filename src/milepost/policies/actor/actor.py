"""An actor, with or without a critic, as a policy: a step of the forest is an action and the observation it led to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from milepost.errors import SettingError
from milepost.forest import Forest, Given
from milepost.part import Observation, Proposals
from milepost.policies import weights
from milepost.policies.actor.heads import Head
from milepost.policies.actor.network import ActorNetwork


@dataclass(frozen=True, kw_only=True, eq=False)
class Appraisal:
    """What an actor says of steps, differentiable; 0 at roots."""

    log_prob: Float[Tensor, " r"]
    """Of the actions taken, in nats."""
    entropy: Float[Tensor, " r"]
    """Of the distributions they were drawn from, in nats."""
    value: Float[Tensor, "r v"]
    """Of the states in which they were taken, one column per stream of rewards."""


@dataclass(kw_only=True, eq=False)
class Actor:
    """Acts on what the parent's row observed. Implements `part.Learner`, `part.Greedy`, and what an update asks of a
    critic.

    The draw of a step comes from the step's key, so a trajectory depends on its task, its draw and the weights only.
    """

    network: ActorNetwork
    head: Head
    version: int = 0
    certain: bool = False
    """Whether it always takes the likeliest action."""

    # ---- the policy protocol ----

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:  # noqa: ARG002
        """The arrays seen, as `observation`."""
        if any(one.array is None for one in observations):
            raise SettingError("An actor was shown text, expected arrays: give it an environment with numbers.")
        return {"observation": torch.from_numpy(np.stack([one.array for one in observations]).astype(np.float32))}

    @torch.no_grad()
    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Take one action in every row."""
        output = self.network.act(forest["observation"][rows])
        action = self.head.likeliest(output) if self.certain else self.head.draw(output, keys.tolist())
        columns: dict[str, Given] = {
            "action": action,
            "log_prob": self.head.log_prob(output, action),
            "cost.model_calls": torch.ones(len(rows), dtype=torch.float64),
        }
        return Proposals(parent=rows, columns=columns)

    def log_prob(self, forest: Forest, rows: Tensor) -> Float[Tensor, " r"]:
        """Log-probability of the actions stored in `rows`, differentiable; 0 at roots."""
        return self.appraise(forest, rows).log_prob

    def greedy(self) -> Actor:
        """The same weights, always taking the likeliest action."""
        return replace(self, certain=True)

    # ---- the critic ----

    def appraise(self, forest: Forest, rows: Tensor) -> Appraisal:
        """Log-probability and entropy of each action, and values of the state in which it was taken, differentiable.

        Args:
            forest: steps of an actor.
            rows: row numbers.

        Returns:
            One entry per row, 0 at roots.
        """
        place = (forest.parent[rows] >= 0).nonzero().squeeze(1)
        asked = rows[place]
        seen = forest["observation"][forest.parent[asked]]
        output, value = self.network.act(seen), self.network.appraise(seen)
        blank = torch.zeros(len(rows))
        return Appraisal(
            log_prob=blank.index_copy(0, place, self.head.log_prob(output, forest["action"][asked])),
            entropy=blank.index_copy(0, place, self.head.entropy(output)),
            value=torch.zeros(len(rows), value.shape[1]).index_copy(0, place, value),
        )

    @torch.no_grad()
    def values(self, forest: Forest, rows: Tensor) -> Float[Tensor, "r v"]:
        """Values of the states arrived at, one per reward stream.

        Args:
            forest: with `observation`.
            rows: row numbers.

        Returns:
            One row per row asked about; no columns without a critic.
        """
        return self.network.appraise(forest["observation"][rows])

    # ---- the learner protocol ----

    @property
    def tokens_at_once(self) -> int:
        """No limit: there are no tokens."""
        return 1 << 31

    def trainable(self) -> Mapping[str, Tensor]:
        """Weights of both networks."""
        return weights.trainable(self.network)

    def advance(self) -> None:
        """Count one update."""
        self.version += 1

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the weights and the number of updates they have seen."""
        weights.restore(self.network, tensors)
        self.version = version
