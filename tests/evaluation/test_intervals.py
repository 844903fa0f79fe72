"""Intervals: hand examples, identities, limits, and their coverage by simulation with fixed keys."""

import math

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError, ShapeError
from milepost.evaluation.intervals import (
    mean_interval,
    normal_quantile,
    paired_bootstrap,
    sign_test,
    student_quantile,
    student_tail,
    welch_interval,
    wilson,
)

KEY = keys.root(20260201)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def within_five_errors(hits, worlds, level):
    error = math.sqrt(level * (1 - level) / worlds)
    return abs(hits / worlds - level) < 5 * error


# ---- quantiles ----


def test_normal_quantile_of_the_table():
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054, abs=1e-12)
    assert normal_quantile(0.5) == 0


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706204736432095), (2, 4.302652729911275), (4, 2.7764451051977987), (9, 2.2621571627409915)],
)
def test_student_quantile_of_the_table(freedom, quantile):
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, rel=1e-7)
    assert student_quantile(0.025, freedom) == pytest.approx(-student_quantile(0.975, freedom), rel=1e-12)


def test_student_with_one_degree_is_cauchy_and_with_two_has_a_closed_form():
    for t in (0.01, 0.5, 1.0, 3.0, 40.0):
        assert student_tail(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, rel=1e-12, abs=1e-14)
        assert student_tail(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-10, abs=1e-14)
        assert student_tail(-t, 2) == student_tail(t, 2)


def test_student_tends_to_normal():
    assert student_quantile(0.975, 1e7) == pytest.approx(normal_quantile(0.975), abs=1e-6)
    assert student_quantile(0.5, 3) == 0


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, math.nan])
def test_a_probability_outside_the_range_is_refused(probability):
    with pytest.raises(SettingError):
        student_quantile(probability, 3)


# ---- shares ----


def test_wilson_hand_example():
    found = wilson(8, 10)
    assert (found.estimate, found.low, found.high) == (
        0.8,
        pytest.approx(0.4901625, abs=1e-6),
        pytest.approx(0.9433178, abs=1e-6),
    )


def test_wilson_mirrors_and_narrows():
    few, other, many = wilson(3, 12), wilson(9, 12), wilson(300, 1200)
    assert few.low == pytest.approx(1 - other.high)
    assert many.high - many.low < (few.high - few.low) / 5
    assert wilson(0, 5).low == 0
    assert wilson(5, 5).high == 1
    assert math.isnan(wilson(0, 0).estimate)
    with pytest.raises(ShapeError, match="6 successes of 5"):
        wilson(6, 5)


@pytest.mark.statistical
def test_wilson_covers():
    """Exact coverage, summed over all outcomes: 95 % on average over p, which is what Wilson promises."""
    n, found = 40, []
    inside = [wilson(s, n) for s in range(n + 1)]
    for p in torch.linspace(0.1, 0.9, 81, dtype=torch.float64).tolist():
        chance = [math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)]
        found.append(sum(c for c, i in zip(chance, inside, strict=True) if i.low <= p <= i.high))
    assert abs(sum(found) / len(found) - 0.95) < 0.005
    assert min(found) > 0.91


# ---- means ----


def test_mean_interval_hand_example():
    found = mean_interval(numbers(1, 2, 3))
    half = 4.302652729911275 / math.sqrt(3)
    assert (found.estimate, found.low, found.high) == (2, pytest.approx(2 - half), pytest.approx(2 + half))
    assert not found.excludes_zero


def test_equal_values_have_no_width_and_one_value_has_no_interval():
    equal = mean_interval([0.1] * 7)
    assert equal.low == equal.high == equal.estimate == pytest.approx(0.1)
    lone = mean_interval(numbers(0.3))
    assert lone.estimate == 0.3
    assert math.isnan(lone.low)
    assert not lone.excludes_zero
    assert math.isnan(mean_interval(numbers()).estimate)


def test_nan_and_matrices_are_refused():
    with pytest.raises(ShapeError, match="1 numbers that are not finite"):
        mean_interval(numbers(1, math.nan))
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        mean_interval(torch.ones(2, 2))


@pytest.mark.statistical
@pytest.mark.parametrize("count", [3, 10])
def test_mean_interval_covers(count):
    worlds = 4000
    draws = torch.from_numpy(keys.generator(keys.fold(KEY, "mean", count)).normal(0.4, 2.0, (worlds, count)))
    hits = sum(found.low <= 0.4 <= found.high for found in map(mean_interval, draws))
    assert within_five_errors(hits, worlds, 0.95)


def test_welch_hand_example_and_swap():
    first, second = numbers(1, 2, 3, 4), numbers(2, 4, 9)
    found, back = welch_interval(first, second), welch_interval(second, first)
    assert found.estimate == -2.5
    assert (found.low, found.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
    shares = (5 / 3) / 4, 13.0 / 3
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / 3 + shares[1] ** 2 / 2)
    assert found.high == pytest.approx(-2.5 + student_quantile(0.975, freedom) * math.sqrt(sum(shares)))


def test_welch_limits():
    assert welch_interval(numbers(1, 1), numbers(2, 2)).excludes_zero
    assert math.isnan(welch_interval(numbers(1), numbers(1, 2)).low)


@pytest.mark.statistical
def test_welch_covers_with_unequal_spreads():
    worlds, stream = 1500, keys.generator(keys.fold(KEY, "welch"))
    first = torch.from_numpy(stream.normal(1.0, 3.0, (worlds, 6)))
    second = torch.from_numpy(stream.normal(0.5, 1.0, (worlds, 20)))
    hits = sum(f.low <= 0.5 <= f.high for f in map(welch_interval, first, second))
    assert within_five_errors(hits, worlds, 0.95)


# ---- pairs ----


def test_bootstrap_depends_on_its_key_only():
    first, second = numbers(1, 0, 1, 1, 0, 1), numbers(0, 0, 1, 0, 1, 0)
    found = paired_bootstrap(first, second, KEY)
    assert found == paired_bootstrap(first, second, KEY)
    assert found.estimate == pytest.approx((first - second).mean())
    assert found.low <= found.estimate <= found.high
    assert (found.low, found.high) == pytest.approx(
        tuple(-bound for bound in reversed((lambda b: (b.low, b.high))(paired_bootstrap(second, first, KEY)))),
        abs=1e-12,
    )


def test_bootstrap_of_equal_differences_has_no_width():
    found = paired_bootstrap(torch.full((9,), 0.7), torch.full((9,), 0.6), KEY)
    assert found.low == found.high == found.estimate


def test_bootstrap_refuses_lengths_that_differ():
    with pytest.raises(ShapeError, match="first has 2 values, second 3"):
        paired_bootstrap(numbers(1, 2), numbers(1, 2, 3), KEY)


@pytest.mark.statistical
def test_bootstrap_covers():
    """Percentile intervals over 100 pairs are a little short of 95 %: they lack the factor sqrt(n / (n - 1)) and t."""
    worlds, count, hits = 400, 100, 0
    for world in range(worlds):
        stream = keys.generator(keys.fold(KEY, "bootstrap", world))
        first = torch.from_numpy((stream.random(count) < 0.6).astype(float))
        second = torch.from_numpy((stream.random(count) < 0.45).astype(float))
        found = paired_bootstrap(first, second, keys.fold(KEY, "draws", world), draws=400)
        hits += found.low <= 0.15 <= found.high
    assert within_five_errors(hits, worlds, 0.944)


def test_sign_test_hand_examples():
    assert sign_test(numbers(1, 2, 3, 4, 5)) == 2 / 32
    assert sign_test(numbers(1, 2, 3, 4, 5, 6)) == 2 / 64
    assert sign_test(numbers(1, -1, 2, 0)) == 1
    assert sign_test(numbers(1, 2, 3, -1)) == 2 * 5 / 16
    assert sign_test(numbers(0, 0)) == sign_test(numbers()) == 1


@pytest.mark.statistical
def test_sign_test_is_exact():
    """P(p <= c) <= c for every level c that fair signs can reach, summed over all 2^8 sign patterns."""
    patterns = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 8)
    found = torch.tensor([sign_test(pattern) for pattern in patterns])
    for level in found.unique().tolist():
        share = float((found <= level + 1e-9).double().mean())
        assert share == pytest.approx(level) or level == 1
