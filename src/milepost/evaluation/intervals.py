"""Intervals and exact tests for shares, means and paired differences, as pure functions on tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import checks, keys
from milepost.errors import ShapeError

Sample: TypeAlias = "Float[Tensor, ' _'] | Sequence[float]"
"""One axis of numbers."""

_SMALLEST = 1e-300
_ACCURACY = 1e-15


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its interval; what cannot be computed is NaN."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside; false when the interval is not known."""
        return self.low > 0 or self.high < 0


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution.

        z = sqrt(2) erfinv(2 p - 1)

    Args:
        probability: in (0, 1).

    Returns:
        The number that a standard normal variable stays below with that probability.

    Raises:
        SettingError: `probability` outside (0, 1).

    Source: definition.   Limits: 0.5 gives 0.
    """
    _open_share("probability", probability)
    return math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * probability - 1, dtype=torch.float64)))


def _open_share(name: str, value: float) -> None:
    checks.within(name, value, 1e-12, 1 - 1e-12)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function, by Lentz's rule."""

    def safe(number: float) -> float:
        return number if abs(number) > _SMALLEST else _SMALLEST

    c, d = 1.0, 1 / safe(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / safe(1 + term * d), safe(1 + term / c)
            result *= d * c
        if abs(d * c - 1) < _ACCURACY:
            break
    return result


def student_tail(t: float, freedom: float) -> float:
    """Chance that the size of Student's t exceeds |t|.

        P(|T| > |t|) = I_x(f / 2, 1 / 2),   x = f / (f + t^2),   I the regularised incomplete beta function

    Args:
        t: any number.
        freedom: degrees of freedom f, above 0.

    Returns:
        A probability in [0, 1].

    Raises:
        SettingError: `freedom` is not above 0.

    Source: Abramowitz and Stegun 26.7.1 and 26.5.8.   Limits: t = 0 gives 1; large f gives the normal distribution.
    """
    checks.positive("freedom", freedom)
    if t == 0 or math.isinf(t):
        return 1.0 if t == 0 else 0.0
    a, b, x = freedom / 2, 0.5, freedom / (freedom + t * t)
    rest = t * t / (freedom + t * t)
    size = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    if x < (a + 1) / (a + b + 2):
        return math.exp(size) * _beta_fraction(a, b, x) / a
    return 1 - math.exp(size) * _beta_fraction(b, a, rest) / b


@cache
def student_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t distribution, by bisection of its tail.

        t with P(T < t) = p

    Args:
        probability: in (0, 1).
        freedom: degrees of freedom, above 0.

    Returns:
        The quantile, to about 12 digits.

    Raises:
        SettingError: `probability` outside (0, 1), or `freedom` not above 0.

    Source: definition.   Limits: 0.5 gives 0; large `freedom` gives the normal quantile.
    """
    _open_share("probability", probability)
    if probability == 0.5:
        return 0.0
    tail, high = 2 * min(probability, 1 - probability), 1.0
    while student_tail(high, freedom) > tail:
        high *= 2
    low = 0.0
    while high - low > 4 * _ACCURACY * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > tail else (low, middle)
    return math.copysign((low + high) / 2, probability - 0.5)


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Share of successes with its Wilson score interval.

        centre = (s + z^2/2) / (n + z^2),   half = z sqrt(s (n - s) / n + z^2 / 4) / (n + z^2)

    Args:
        successes: s, at least 0.
        trials: n, at least s.
        level: chance that the interval holds the true share, in (0, 1).

    Returns:
        The share and an interval inside [0, 1].

    Raises:
        ShapeError: not 0 <= successes <= trials.
        SettingError: `level` outside (0, 1).

    Source: Wilson 1927.   Limits: n = 0 gives NaN.
    """
    if not 0 <= successes <= trials:
        raise ShapeError(f"wilson got {successes} successes of {trials} trials, expected 0 <= successes <= trials.")
    z = normal_quantile((1 + level) / 2)
    if trials == 0:
        return Interval(estimate=math.nan, low=math.nan, high=math.nan)
    square = z * z
    centre = (successes + square / 2) / (trials + square)
    spread = z * math.sqrt(successes * (trials - successes) / trials + square / 4) / (trials + square)
    return Interval(estimate=successes / trials, low=max(0.0, centre - spread), high=min(1.0, centre + spread))


def _sample(name: str, given: Sample) -> Tensor:
    values = torch.as_tensor(given, dtype=torch.float64)
    if values.dim() != 1 or not bool(values.isfinite().all()):
        raise ShapeError(
            f"{name} has shape {tuple(values.shape)}, {int((~values.isfinite()).sum())} numbers that are not finite: "
            "expected one axis of finite numbers. Drop what failed first."
        )
    return values


def mean_interval(values: Sample, *, level: float = 0.95) -> Interval:
    """Mean of independent numbers with Student's t interval.

        mean +- t_(n-1) s / sqrt(n),   s the standard deviation with divisor n - 1

    Args:
        values: one finite number per independent repeat, in any unit. For paired runs: the differences of the pairs.
        level: chance that the interval holds the true mean, in (0, 1).

    Returns:
        The mean and the interval in the unit of `values`; one value has no interval (NaN), no value no mean.

    Raises:
        ShapeError: not one axis, or a number that is not finite.
        SettingError: `level` outside (0, 1).

    Source: Student 1908.   Limits: equal values give an interval of width 0.
    """
    known, count = _sample("values", values), len(values)
    if count < 2:
        return Interval(estimate=float(known.mean()) if count else math.nan, low=math.nan, high=math.nan)
    gain = known - known[0]  # equal values then have a spread of exactly 0
    mean = float(known[0] + gain.mean())
    half = student_quantile((1 + level) / 2, count - 1) * float(gain.std()) / math.sqrt(count)
    return Interval(estimate=mean, low=mean - half, high=mean + half)


def welch_interval(first: Sample, second: Sample, *, level: float = 0.95) -> Interval:
    """Difference of two means of unpaired samples with Welch's interval.

        d = mean(first) - mean(second),   v_i = s_i^2 / n_i,   d +- t_f sqrt(v_1 + v_2)
        f = (v_1 + v_2)^2 / (v_1^2 / (n_1 - 1) + v_2^2 / (n_2 - 1))

    Args:
        first: independent numbers of one group.
        second: independent numbers of the other, in the same unit; the spreads may differ.
        level: chance that the interval holds the true difference, in (0, 1).

    Returns:
        The difference and its interval; NaN bounds when a group has fewer than two numbers.

    Raises:
        ShapeError: not one axis, or a number that is not finite.
        SettingError: `level` outside (0, 1).

    Source: Welch 1947.   Limits: two groups without spread give an interval of width 0.
    """
    one, two = _sample("first", first), _sample("second", second)
    difference = float(one.mean() - two.mean()) if len(one) and len(two) else math.nan
    if min(len(one), len(two)) < 2:
        return Interval(estimate=difference, low=math.nan, high=math.nan)
    share_one, share_two = float(one.var()) / len(one), float(two.var()) / len(two)
    total = share_one + share_two
    if total == 0:
        return Interval(estimate=difference, low=difference, high=difference)
    freedom = total**2 / (share_one**2 / (len(one) - 1) + share_two**2 / (len(two) - 1))
    half = student_quantile((1 + level) / 2, freedom) * math.sqrt(total)
    return Interval(estimate=difference, low=difference - half, high=difference + half)


def paired_bootstrap(first: Sample, second: Sample, key: int, *, draws: int = 4000, level: float = 0.95) -> Interval:
    """Mean of `first - second` over pairs, with the percentile interval of resampled pairs.

        d_b = mean over n pairs drawn with replacement,   interval = quantiles of d_1 .. d_draws

    Args:
        first: one finite number per pair, such as the success of a run on a task.
        second: the other number of the same pair.
        key: decides what is drawn.
        draws: resamples; 4000 place a 95 % bound to about 0.3 percentage points of probability.
        level: chance aimed at, in (0, 1); with fewer than about 20 pairs the interval is too short.

    Returns:
        The mean difference and its interval; NaN bounds below two pairs.

    Raises:
        ShapeError: lengths differ, not one axis, or a number that is not finite.
        SettingError: `level` outside (0, 1), or `draws` below 1.

    Source: Efron 1979.   Limits: equal differences give an interval of width 0.
    """
    checks.at_least("draws", draws, 1)
    _open_share("level", level)
    if len(first) != len(second):
        raise ShapeError(f"first has {len(first)} values, second {len(second)}: pairs need equally many.")
    gain = _sample("first", first) - _sample("second", second)
    count = len(gain)
    if count < 2:
        return Interval(estimate=float(gain.mean()) if count else math.nan, low=math.nan, high=math.nan)
    centred = gain - gain[0]
    stream = keys.generator(keys.fold(key, "paired bootstrap"))
    means = torch.stack([centred[torch.from_numpy(stream.integers(count, size=count))].mean() for _ in range(draws)])
    bounds = torch.quantile(means, torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64))
    start = float(gain[0])
    return Interval(estimate=start + float(centred.mean()), low=start + float(bounds[0]), high=start + float(bounds[1]))


def sign_test(difference: Sample) -> float:
    """Exact chance that fair coins are at least as one-sided as the signs of the differences.

        p = min(1, 2 P(Binomial(m, 1/2) <= min(above, below))),   m = above + below; ties do not count

    Args:
        difference: one finite number per pair.

    Returns:
        A two-sided probability in (0, 1]; with m pairs never below 2^(1 - m), so that 5 pairs cannot reach 0.05.

    Raises:
        ShapeError: not one axis, or a number that is not finite.

    Source: Arbuthnot 1710; Dixon and Mood 1946.   Limits: no pair that differs gives 1.
    """
    known = _sample("difference", difference)
    above, below = int((known > 0).sum()), int((known < 0).sum())
    rare = sum(math.comb(above + below, count) for count in range(min(above, below) + 1))
    return min(1.0, 2 * rare / 2 ** (above + below))
