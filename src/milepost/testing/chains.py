"""A small world whose target is known: chains of symbols that are drawn uniformly, with a reward for the whole word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import keys as key_streams
from milepost.columns import End
from milepost.forest import Forest, Given
from milepost.part import Action, Observation, Proposals, Start, Task, Transition

WORD = "extra.word"
"""Column with the word so far, as a number: each symbol is a digit, the first the highest."""


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Words of `length` symbols out of `symbols`; a step appends one."""

    symbols: int = 3
    length: int = 3
    stop = ()
    embedded = ""

    def task(self, number: int = 0) -> Task:
        """A task; the world is the same for all, their draws are not."""
        return Task(id=f"chain:{number}", record={}, family="chain")

    def train(self) -> Sequence[Task]:
        """One task."""
        return [self.task()]

    def held_out(self) -> Sequence[Task]:
        """None."""
        return []

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - nothing here is random
        """Begin with no symbol."""
        return Start(observation=Observation(), state=(0, 0))

    def step(self, state: tuple[int, int], action: Action, key: int) -> Transition:  # noqa: ARG002 - nothing is random
        """Append a symbol."""
        count, word = state[0] + 1, state[1] * self.symbols + int(action.array)
        end = End.TERMINATED if count == self.length else End.OPEN
        return Transition(observation=None, state=(count, word), end=end, columns={WORD: word})

    def target(self, reward: Float[Tensor, " w"], temperature: float) -> Float[Tensor, " w"]:
        """Law of the words that draws are to have: prior times exp(reward / T), normalised."""
        return (reward.double() / temperature).softmax(0)


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Draws every symbol alike, from the key of the step. Implements `part.Policy`; a step is one model call."""

    symbols: int = 3
    version: int = 0

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:  # noqa: ARG002
        """Nothing is seen."""
        return {}

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:  # noqa: ARG002 - the word is no matter
        """One symbol for every row."""
        drawn = torch.from_numpy(key_streams.uniform(keys.tolist(), 1)).squeeze(1)
        symbol = (drawn * self.symbols).long().clamp(max=self.symbols - 1)
        return Proposals(parent=rows, columns={"action": symbol, "cost.model_calls": torch.ones(len(rows)).double()})

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:  # noqa: ARG002 - the same everywhere
        """-ln symbols, everywhere."""
        return torch.full((len(rows),), -float(torch.tensor(float(self.symbols)).log()))


@dataclass(frozen=True, kw_only=True)
class WordReward:
    """Scores rows by a function of the word and the number of symbols it has. Implements a sampler's scorer."""

    of: Callable[[Int[Tensor, " n"], Int[Tensor, " n"]], Float[Tensor, " n"]]

    def __call__(self, forest: Forest, rows: Tensor) -> Forest:
        """Write `reward.total` at the rows, keep it elsewhere."""
        value, ok = torch.zeros(len(forest)), torch.zeros(len(forest), dtype=torch.bool)
        if "reward.total" in forest:
            value, ok = forest["reward.total"].nan_to_num(), forest["ok.total"].clone()
        rows = rows[forest.parent[rows] >= 0]
        value = value.index_copy(0, rows, self.of(forest[WORD][rows], forest.depth()[rows]).float())
        ok[rows] = True
        return forest.with_columns({"reward.total": value, "ok.total": ok}).with_valid("reward.total", ok)


def law(word: Int[Tensor, " k"], share: Float[Tensor, " k"], words: int) -> Float[Tensor, " w"]:
    """Law of words from the chances of leaves, several of which may spell the same.

    Args:
        word: of each leaf.
        share: its chance.
        words: number of words there are.

    Returns:
        One probability per word.
    """
    return torch.zeros(words, dtype=torch.float64).index_add_(0, word, share.double())
