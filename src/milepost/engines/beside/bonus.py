"""A bonus beside the policy: a reward that remembers what it has seen, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from milepost import keys, state
from milepost.engines.beside.learned import Taught
from milepost.forest import Forest
from milepost.part import State
from milepost.recipe import Remembers


@dataclass(kw_only=True)
class Memorised:
    """A reward with a memory, between batches."""

    part: Remembers
    memory: State
    version: int = 0
    """Batches that it has seen."""

    def __call__(self, forest: Forest, key: int) -> Taught:
        """Score a batch with what was known before it, then remember it.

        Args:
            forest: the scored batch.
            key: of this batch.

        Returns:
            The batch with the reward, and its mean and spread, named `learned/...`.
        """
        forest, self.memory = self.part.apply(forest, self.memory, keys.fold(key, "bonus"))
        self.version += 1
        value = forest[f"reward.{self.part.name}"][forest[f"ok.{self.part.name}"]].double()
        numbers = {f"learned/{self.part.name}_mean": float(value.mean())} if len(value) else {}
        if len(value) > 1:
            numbers[f"learned/{self.part.name}_std"] = float(value.std())
        return Taught(forest=forest, numbers=numbers)

    def tensors(self) -> dict[str, Tensor]:
        """The memory by name, for a checkpoint; it holds nothing but tensors."""
        return dict(state.dump(self.memory).tensors)

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Put back what `tensors` returned.

        Args:
            tensors: by name.
            version: batches that had been seen.
        """
        record = state.dump(self.memory).record
        self.memory = state.load(type(self.memory), state.Dumped(tensors, record))
        self.version = version
