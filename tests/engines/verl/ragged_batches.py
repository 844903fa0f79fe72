"""Random batches as verl has them: rows of several turns, padded, in groups of any size and any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from milepost import keys


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """A batch."""

    rewards: Tensor
    mask: Tensor
    index: np.ndarray


def random_batch(number: int, *, rows: int = 23, width: int = 17, dense: bool = False, smallest: int = 2) -> Ragged:
    """One batch; rewards on the last token of a row, or on the last token of every turn.

    Args:
        number: which one.
        rows: at least this many rows.
        width: tokens of the longest row.
        dense: whether every turn is rewarded.
        smallest: fewest rows of a prompt.
    """
    draw = keys.generator(keys.fold(keys.root(number), "batch"))
    index: list[str] = []
    while len(index) < rows:
        index += [f"prompt {len(index)}"] * int(draw.integers(smallest, 6))
    order = draw.permutation(len(index))
    mask = torch.zeros(len(index), width, dtype=torch.int64)
    rewards = torch.zeros(len(index), width)
    for row in range(len(index)):
        at = 0
        for _ in range(int(draw.integers(1, 4))):
            length = int(draw.integers(1, 4))
            mask[row, at : at + length] = 1
            if dense:
                rewards[row, at + length - 1] = float(draw.normal())
            last, at = at + length - 1, at + length + int(draw.integers(1, 3))
        rewards[row, last] = float(draw.integers(0, 3)) / 2
    return Ragged(rewards=rewards, mask=mask, index=np.array([index[place] for place in order], dtype=object))
