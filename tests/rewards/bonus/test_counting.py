"""The tabular truth: the best predictor's statistic is 1/n without bias, and steps of constant size have a floor."""

import pytest
import torch

from milepost import keys
from milepost.errors import ShapeError
from milepost.rewards.bonus.counting import (
    best_prediction,
    count_bonus,
    moving_prediction_error,
    visit_statistic,
    visits,
)

COUNTS = (1, 2, 5, 20, 100)


@pytest.mark.statistical
@pytest.mark.parametrize("n", COUNTS)
def test_n_times_the_statistic_has_mean_1_and_the_claimed_variance(n):
    """E[n z_n] = 1 and Var[z_n] n^2 d / 2 = 1, 4,000 states of d = 8 outputs, within 5 standard errors."""
    states, outputs = 4000, 8
    stream = keys.generator(keys.fold(7, "visits", n))
    mean = torch.from_numpy(stream.standard_normal((states, outputs)))
    total = sum(mean + 0.5 * torch.from_numpy(stream.standard_normal((states, outputs))) for _ in range(n))
    found = n * visit_statistic(total / n, mean, sigma=0.5)
    spread = (2 / outputs) ** 0.5
    assert abs(float(found.mean()) - 1) < 5 * spread / states**0.5
    ratio = float(found.var()) * outputs / 2
    kurtosis = 3 + 12 / outputs  # of a chi-square with d degrees of freedom
    assert abs(ratio - 1) < 5 * ((kurtosis - 1) / states) ** 0.5


def drnd_statistic(targets, n, stream):
    """20,000 predictors after n draws of one of some scalar targets: (f^2 - m^2) / v, which DRND reads as 1 / n."""
    drawn = targets[torch.from_numpy(stream.integers(len(targets), size=(20_000, n)))]
    mean, variance = targets.mean(), targets.var(correction=0)
    return (drawn.mean(1).square() - mean.square()) / variance


@pytest.mark.statistical
@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("shift", [0.1, 1.0, 3.0])
def test_the_statistic_varies_less_than_drnds(n, shift):
    """Both have mean 1/n; Var y_n = 4 m^2 / (v n) + 2 / n^2 + (k - 3) / n^3 (k: kurtosis) against 2 / n^2 per output.

    DRND's is larger where m^2 >= v, at every n. Where m is near 0 it is larger from n = 20 on only: few draws of ten
    discrete targets have lighter tails than a Gaussian. All within 5 standard errors.
    """
    stream = keys.generator(keys.fold(9, "drnd", n, int(10 * shift)))
    targets = torch.linspace(-1, 1, 10, dtype=torch.float64)
    targets = targets / targets.std(correction=0) + shift  # v = 1, m = shift
    found = drnd_statistic(targets, n, stream)
    error = 5 * float(found.std()) / 20_000**0.5
    assert abs(float(found.mean()) - 1 / n) < error
    kurtosis = float((targets - shift).pow(4).mean())
    wanted = 4 * shift**2 / n + 2 / n**2 + (kurtosis - 3) / n**3
    squares = (found - found.mean()).square()
    assert float(found.var()) == pytest.approx(wanted, abs=5 * float(squares.std()) / 20_000**0.5)
    ours = 2 / n**2
    assert (wanted > ours) == (shift >= 1 or n >= 20)


def test_hand_example():
    target = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    assert best_prediction(target).tolist() == [2.0, 2.0]
    assert float(visit_statistic(best_prediction(target), torch.tensor([1.0, 2.0]), sigma=2.0)) == 0.125


@pytest.mark.statistical
@pytest.mark.parametrize("step", [0.5, 0.1, 0.01])
def test_a_constant_step_has_a_floor(step):
    """20,000 predictors after 1,500 visits: sigma^2 a / (2 - a), not 0 (5 standard errors)."""
    stream = keys.generator(keys.fold(8, "step", int(1000 * step)))
    held = torch.zeros(20_000, dtype=torch.float64)
    for _ in range(1500):
        held += step * (torch.from_numpy(stream.standard_normal(20_000)) - held)
    wanted = moving_prediction_error(step=step, sigma=1.0)
    assert float(held.square().mean()) == pytest.approx(wanted, abs=5 * wanted * (2 / 20_000) ** 0.5)
    assert moving_prediction_error(step=1.0, sigma=3.0) == 9.0


def test_visits_are_counted_in_order():
    count, after = visits(torch.tensor([2, 0, 2, 2]), torch.tensor([0, 5, 1]))
    assert count.tolist() == [2, 1, 3, 4]
    assert after.tolist() == [1, 5, 4]
    count, after = visits(torch.tensor([], dtype=torch.int64), after)
    assert (count.tolist(), after.tolist()) == ([], [1, 5, 4])
    with pytest.raises(ShapeError, match=r"expected numbers in \[0, 2\)"):
        visits(torch.tensor([2]), torch.tensor([0, 0]))


def test_the_bonus_of_a_count():
    assert count_bonus(torch.tensor([1, 4, 100])).tolist() == pytest.approx([1.0, 0.5, 0.1])
