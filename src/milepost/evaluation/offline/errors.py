"""Errors of proxy labels and the gap of what is learned from them, as pure functions on tensors.

Source: Zheng et al. 2023 (SS-ORL) reports the relative gap; the others are textbook definitions.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from milepost.errors import ShapeError


def determined(guess: Float[Tensor, "n a"], truth: Float[Tensor, "n a"]) -> float:
    """Share of the variance of actions that labels explain.

        R^2 = 1 - sum (guess - truth)^2 / sum (truth - mean truth)^2,   over all rows and numbers, each number centred

    Args:
        guess: labels.
        truth: what they stand for.

    Returns:
        At most 1; NaN without rows, or where the truth never varies.

    Raises:
        ShapeError: shapes differ.

    Limits: guessing the mean gives 0.
    """
    if guess.shape != truth.shape:
        raise ShapeError(f"determined got shapes {tuple(guess.shape)} and {tuple(truth.shape)}, expected equal ones.")
    if not len(truth):
        return math.nan
    spread = float((truth - truth.mean(0)).double().square().sum())
    return 1 - float((guess - truth).double().square().sum()) / spread if spread else math.nan


def ranks(value: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ranks from 0, equal values sharing their mean rank.

        rank_i = #{j: v_j < v_i} + (#{j: v_j = v_i} - 1) / 2

    Args:
        value: any numbers.

    Returns:
        One rank per number.
    """
    _, group, count = torch.unique(value, return_inverse=True, return_counts=True)
    below = count.cumsum(0) - count
    return (below + (count - 1) / 2).double()[group]


def rank_correlation(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> float:
    """Spearman's correlation.

        rho = correlation of the ranks

    Args:
        first: numbers.
        second: as many numbers.

    Returns:
        In [-1, 1]; NaN where one of them never varies.

    Raises:
        ShapeError: lengths differ.

    Limits: a rising function of the other gives 1.
    """
    if first.shape != second.shape:
        raise ShapeError(f"rank_correlation got {len(first)} and {len(second)} numbers, expected equally many.")
    one, two = (part - part.mean() for part in (ranks(first), ranks(second)))
    size = float((one.square().sum() * two.square().sum()).sqrt())
    return float((one * two).sum()) / size if size else math.nan


def gap(oracle: float, found: float, chance: float) -> float:
    """How much of what true labels are worth was lost.

        gap = (oracle - found) / (oracle - chance)

    Args:
        oracle: return with true labels.
        found: return with proxy labels.
        chance: return of random actions; SS-ORL takes 0, which has no meaning where returns are negative.

    Returns:
        0 where nothing was lost, 1 where all was; NaN where true labels are worth no more than chance.

    Limits: found = oracle gives 0.
    """
    return (oracle - found) / (oracle - chance) if oracle > chance else math.nan
