"""Probabilities of inclusion, draws by them, and estimates that undo them.

Every conversation is drawn on its own (Poisson sampling), from a number that depends on the seed, its file and its line
and on nothing else: neither order nor workers nor what else is in the pool change a draw.

Source: Horvitz and Thompson 1952; Poisson sampling: Hajek 1964.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from milepost import keys
from milepost.errors import ShapeError

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]


def top(count: Whole, budget: float) -> Numbers:
    """Probability of each level when the highest levels are taken first.

        p_l = clip((budget - sum_{m > l} count_m) / count_l, 0, 1)

    Args:
        count: number of items at each level, levels rising.
        budget: how many items to expect.

    Returns:
        One probability per level: 1 above some level, a fraction at it, 0 below; sum count p = min(budget, sum count).
    """
    above = count[::-1].cumsum()[::-1] - count
    return np.clip((budget - above) / np.maximum(count, 1), 0.0, 1.0) * (count > 0)


def even(count: Whole, budget: float) -> Numbers:
    """Probability of each stratum when all strata give equally many items, as far as they have them.

        p_h = min(1, c / count_h),  c such that sum_h min(count_h, c) = min(budget, sum count)

    Args:
        count: number of items of each stratum.
        budget: how many items to expect.

    Returns:
        One probability per stratum.
    """
    rest, shares = float(budget), np.zeros(len(count))
    order = np.argsort(count, kind="stable")
    left = int((count > 0).sum())
    for stratum in order[count[order] > 0].tolist():
        taken = min(float(count[stratum]), max(rest, 0.0) / left)
        shares[stratum] = taken / count[stratum]
        rest, left = rest - taken, left - 1
    return shares


def either(one: Numbers, two: float | Numbers) -> Numbers:
    """Probability that at least one of two independent draws takes an item: 1 - (1 - p) (1 - q)."""
    return one + (1 - one) * two


def uniforms(seed: int, file: str, line: Whole, purpose: str) -> Numbers:
    """Numbers in [0, 1) that belong to lines of a file.

        u = mix(fold(seed, purpose, file) + line * 0x9E3779B97F4A7C15) / 2^64,  mix of SplitMix64

    Args:
        seed: of the selection.
        file: name of the file.
        line: numbers of lines.
        purpose: what they are for; two purposes give independent numbers.

    Returns:
        One number per line.

    Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators.
    """
    start = np.uint64(keys.fold(keys.root(seed), purpose, file) & ((1 << 64) - 1))
    state = start + line.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A rate in the whole pool, estimated from what was drawn."""

    rate: float
    low: float
    """End of the interval; with `high` it holds the truth in about 95 of 100 cases."""
    high: float
    drawn: int


def rate(value: Numbers, inclusion: Numbers, size: int) -> Estimate:
    """Rate of something in a pool from items that were drawn with known probabilities.

        rate = sum_drawn value / inclusion / size,   variance = sum_drawn (1 - inclusion) (value / inclusion)^2 / size^2

    The estimate is unbiased whatever the probabilities are, as long as none is 0.

    Args:
        value: of each drawn item, in [0, 1].
        inclusion: probability with which each was drawn, in (0, 1].
        size: number of items in the pool.

    Returns:
        The estimate, with an interval of 1.96 standard errors, cut to [0, 1].

    Raises:
        ShapeError: values and probabilities do not pair, or a probability is not in (0, 1].
    """
    if value.shape != inclusion.shape or bool(((inclusion <= 0) | (inclusion > 1)).any()):
        raise ShapeError(f"{len(value)} values need as many probabilities in (0, 1], received {len(inclusion)}.")
    weighted = value / inclusion
    found = float(weighted.sum()) / size
    error = 1.96 * math.sqrt(float(((1 - inclusion) * weighted**2).sum())) / size
    return Estimate(rate=found, low=max(0.0, found - error), high=min(1.0, found + error), drawn=len(value))
