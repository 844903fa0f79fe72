"""An exploration bonus per step: how badly a predictor does on the observation arrived at. RND and RDD are settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from milepost import checks, keys
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.rewards.bonus import perceptron
from milepost.rewards.bonus.normalising import Running, aged, discounted_along, joined, whitened
from milepost.rewards.bonus.perceptron import Learnt
from milepost.rewards.bonus.targets import Distance, Drawn, Readout, Targets

CLIP = 5.0
"""Size to which whitened observations are cut."""
_LEAST = 1e-8


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """The predictor, and how it learns."""

    width: int = 64
    """Of both hidden layers, and of those of the frozen networks."""
    outputs: int = 64
    learning_rate: float = 3e-4
    batch: int = 256
    """States of one step of its optimiser."""
    share: float = 1.0
    """Part of the visited states that it learns from, in (0, 1]: less where many episodes are sampled at once."""
    prior: float = 0.0
    """Scale of a frozen random network that is added to the predictor, so that a state never seen is surely new."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("width", "outputs", "batch"):
            checks.at_least(name, getattr(self, name), 1)
        checks.positive("learning_rate", self.learning_rate)
        checks.within("share", self.share, 1e-6, 1.0)
        checks.non_negative("prior", self.prior)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What bonuses are divided by: the running standard deviation of their discounted sums along time."""

    discount: float = 0.99
    """Of the sums."""
    keep: float = 1.0
    """Weight that earlier batches keep from one batch to the next; 1, as in RND, forgets nothing, and in a short run
    the first bonuses, which are the largest, then make all later ones small."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("discount", self.discount, 0.0, 1.0)
        checks.within("keep", self.keep, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """What the bonus has seen: tensors only, so that a checkpoint holds it."""

    learnt: Learnt
    observations: Running
    returns: Running


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """Bonus of each step, for the observation it leads to. Implements `recipe.Remembers`.

    A batch is scored with what was known before it; then the predictor takes one pass over it. Bonuses are divided by
    the running standard deviation of their discounted sums along time. Frozen networks are drawn from a key.

    Source: RND, arXiv:1810.12894, sections 2.2 to 2.4; RDD.   Limits: `Drawn(sigma=0)` with `Distance` is RND.

    Example:
        >>> Distilled(targets=Drawn(sigma=0.0)).name
        'bonus'
    """

    targets: Targets = field(default_factory=Drawn)
    readout: Readout = field(default_factory=Distance)
    predictor: Predictor = field(default_factory=Predictor)
    unit: Unit = field(default_factory=Unit)
    seed: int = 0
    """Decides the frozen networks and the predictor's first weights."""
    name: str = "bonus"

    def init(self, survey: NDArray[np.float32]) -> Memory:
        """Before the first batch.

        Args:
            survey: observations of random actions, one per row, from which the scale of the input is first taken.

        Returns:
            The memory.
        """
        known = torch.from_numpy(survey)
        sizes = self._sizes(known.shape[1])
        return Memory(
            learnt=Learnt.fresh(perceptron.weights(sizes, keys.fold(keys.root(self.seed), "predictor"))),
            observations=joined(Running.nothing(known.shape[1]), known),
            returns=Running.nothing(1),
        )

    def apply(self, forest: Forest, memory: Memory, key: int) -> tuple[Forest, Memory]:
        """Write the bonus of every step below a root, then learn from the observations.

        Args:
            forest: with `observation`.
            memory: what was seen before.
            key: of this batch: draws targets and the order of learning.

        Returns:
            The forest with `reward.<name>`, `ok.<name>` and `reason.<name>`, and the next memory.

        Raises:
            ColumnError: the forest has no observations.
        """
        if "observation" not in forest:
            raise ColumnError(
                f"A bonus for new observations needs column 'observation', but the forest has: "
                f"{', '.join(forest.names)}. Use it with a policy that acts on arrays."
            )
        below = (forest.parent >= 0) & forest.valid("observation")
        rows = below.nonzero().squeeze(1)
        seen = forest["observation"][rows].float()
        scaled = whitened(memory.observations, seen, limit=CLIP)
        raw = torch.zeros(len(forest)).index_copy(0, rows, self.bonus(memory, scaled))
        sums = discounted_along(raw.double(), forest.parent, discount=self.unit.discount)[rows]
        returns = joined(aged(memory.returns, self.unit.keep), sums[:, None])
        value = raw / returns.std().clamp(min=_LEAST).float()
        columns = {f"reward.{self.name}": value, f"ok.{self.name}": below, f"reason.{self.name}": [None] * len(forest)}
        memory = Memory(
            learnt=self.learn(memory.learnt, scaled, key),
            observations=joined(memory.observations, seen),
            returns=returns,
        )
        return forest.with_columns(columns).with_valid(f"reward.{self.name}", below), memory

    @torch.no_grad()
    def bonus(self, memory: Memory, scaled: Float[Tensor, "n s"]) -> Float[Tensor, " n"]:
        """Bonus of whitened observations, before it is divided by anything."""
        return self.readout(self._predicted(memory.learnt.weights, scaled), self.frozen(scaled))

    @torch.no_grad()
    def frozen(self, scaled: Float[Tensor, "n s"]) -> Float[Tensor, "k n d"]:
        """Outputs of the frozen networks."""
        held = self._frozen(scaled.shape[1])
        return torch.stack([perceptron.outputs(one, scaled) for one in held])

    def learn(self, learnt: Learnt, scaled: Float[Tensor, "n s"], key: int) -> Learnt:
        """One pass of the predictor over its share of the states, each with a target drawn anew."""
        stream = keys.generator(keys.fold(key, "targets"))
        target = self.targets.draw(self.frozen(scaled), stream)
        chosen = torch.from_numpy(stream.permutation(len(scaled)))[: max(1, round(self.predictor.share * len(scaled)))]
        for rows in chosen.split(self.predictor.batch):
            held = {name: value.detach().requires_grad_() for name, value in learnt.weights.items()}
            loss = (self._predicted(held, scaled[rows]) - target[rows]).square().mean()
            slopes = torch.autograd.grad(loss, list(held.values()))
            fresh = Learnt(
                weights={name: value.detach() for name, value in held.items()},
                first=learnt.first,
                second=learnt.second,
                steps=learnt.steps,
            )
            learnt = perceptron.step(fresh, dict(zip(held, slopes, strict=True)), rate=self.predictor.learning_rate)
        return learnt

    def _sizes(self, inputs: int) -> tuple[int, ...]:
        return (inputs, self.predictor.width, self.predictor.width, self.predictor.outputs)

    def _frozen(self, inputs: int) -> list[dict[str, Tensor]]:
        key = keys.fold(keys.root(self.seed), "frozen")
        return [perceptron.weights(self._sizes(inputs), keys.fold(key, n)) for n in range(self.targets.networks)]

    def _predicted(self, held: Mapping[str, Tensor], scaled: Tensor) -> Tensor:
        found = perceptron.outputs(held, scaled)
        if not self.predictor.prior:
            return found
        frozen = perceptron.weights(self._sizes(scaled.shape[1]), keys.fold(keys.root(self.seed), "prior"))
        return found + self.predictor.prior * perceptron.outputs(frozen, scaled)
