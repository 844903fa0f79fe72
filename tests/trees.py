"""Random groups and trees for tests, made from one number so that examples are drawn fast."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**32 - 1)


class Grouped(NamedTuple):
    """What every grouped reduction takes."""

    value: Tensor
    group: Tensor
    groups: int
    ok: Tensor


def draws(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def grouped(seed: int, low: float = -100.0, high: float = 100.0) -> Grouped:
    """Groups of 1 to 9 rows in any order, every other one empty; ties, constant groups, and NaN where not ok."""
    chance = draws(seed)
    sizes = chance.integers(1, 10, chance.integers(1, 7))
    group = chance.permutation(np.repeat(np.arange(len(sizes)) * 2, sizes))
    value = chance.uniform(low, high, len(group))
    value = np.where(chance.random(len(group)) < 0.4, chance.choice([0.1, 0.25, 1.0], len(group)), value)
    constant = np.isin(group, np.arange(len(sizes))[chance.random(len(sizes)) < 0.2] * 2)
    value = np.where(constant, 0.7 * high, value)
    ok = chance.random(len(group)) < chance.choice([0.0, 0.5, 0.8, 1.0])
    tensor = torch.from_numpy(np.where(ok, value, math.nan))
    return Grouped(tensor, torch.from_numpy(group), 2 * len(sizes), torch.from_numpy(ok))


def parents(seed: int, most: int = 40) -> Tensor:
    """Parents of a random forest: bushy, chains, stars, level by level or in any order."""
    chance = draws(seed)
    rows, kind = int(chance.integers(0, most + 1)), int(chance.integers(0, 5))
    reach = [1, 3, most, 2, most][kind]
    above = [int(chance.integers(max(-1, row - reach), row)) for row in range(rows)]
    if kind == 3:
        above = [row - 1 if chance.random() < 0.9 else -1 for row in range(rows)]
    if kind == 4:
        above = sorted(above)
    return torch.tensor(above, dtype=torch.int64)


def up(parent: Tensor, row: int) -> list[int]:
    """Rows from `row` to its root."""
    path = [row]
    while parent[path[-1]] >= 0:
        path.append(int(parent[path[-1]]))
    return path
