"""Random batches with known credit and log-probabilities, in float64, for the tests of objectives."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from milepost import keys
from milepost.columns import Role
from milepost.forest import Forest
from milepost.ragged import Ragged


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A forest and log-probabilities of its tokens under three policies."""

    forest: Forest
    now: torch.Tensor
    reference: torch.Tensor
    parent: list[int]
    lengths: list[int]


@pytest.fixture
def batch():
    """Make a batch: `batch(parent, lengths, seed=1, spread=0.3)`. Roots hold prompt tokens."""

    def make(
        parent: list[int], lengths: list[int], *, seed: int = 1, spread: float = 0.3, masked: bool = True
    ) -> Batch:
        total = sum(lengths)
        draws = torch.from_numpy(keys.normal([seed], (6, max(total, len(parent))))[0])
        behaviour = -draws[0, :total].abs()
        role = [[int(Role.PROMPT if above < 0 else Role.POLICY)] * n for above, n in zip(parent, lengths, strict=True)]
        train = [[one == int(Role.POLICY) for one in line] for line in role]
        if masked:  # every fifth token is not trained
            flags = iter(range(total))
            train = [[one and next(flags) % 5 != 4 for one in line] for line in train]
        forest = Forest.of(
            parent,
            {
                "tokens.id": Ragged.of([list(range(n)) for n in lengths], torch.int32),
                "tokens.role": Ragged.of(role, torch.int8),
                "tokens.train": Ragged.of(train, torch.bool),
                "tokens.log_prob": Ragged(behaviour.float(), Ragged.of(role, torch.int8).offsets),
                "advantage": [
                    None if above < 0 else round(float(draws[1, row]) * 8) / 8 for row, above in enumerate(parent)
                ],
            },
        )
        stored = forest["tokens.log_prob"].double()
        now, reference = stored + spread * draws[2, :total], stored + spread * draws[3, :total]
        return Batch(forest=forest, now=now, reference=reference, parent=parent, lengths=lengths)

    return make


@pytest.fixture
def flat(batch):
    """Two prompts with three answers each, of different lengths."""
    return batch([-1, -1, 0, 0, 0, 1, 1, 1], [2, 2, 5, 3, 7, 4, 2, 6])


@pytest.fixture
def tree(batch):
    """Shared steps: row 1 is held by two trajectories, row 2 by three."""
    return batch([-1, 0, 0, 1, 1, 2, 2, 6, 6], [2, 4, 3, 2, 5, 1, 3, 4, 2])


@pytest.fixture
def slope():
    """Gradient by central differences: `slope(function, at)`."""

    def measure(function, at: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
        found = torch.zeros_like(at)
        for index in range(len(at)):
            shift = torch.zeros_like(at)
            shift[index] = step
            found[index] = (function(at + shift) - function(at - shift)) / (2 * step)
        return found

    return measure


@pytest.fixture
def padded():
    """Rows of tokens as (b, t) matrices: `padded(forest, values)` for the rows that are not roots."""

    def pad(forest: Forest, values: torch.Tensor) -> torch.Tensor:
        rows = (forest.parent >= 0).nonzero().squeeze(1).tolist()
        lines = [Ragged(values, forest.token_offsets)[row] for row in rows]
        return torch.nn.utils.rnn.pad_sequence(lines, batch_first=True)

    return pad
