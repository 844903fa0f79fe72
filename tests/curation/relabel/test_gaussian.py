"""The squashed Gaussian against torch's own, its moments against draws, and mixtures."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milepost.curation.relabel import gaussian

LOW, HIGH = torch.tensor([-2.0, 0.0]), torch.tensor([2.0, 1.0])


def test_density_is_torchs():
    action = torch.tensor([[0.3, 0.9], [-1.5, 0.2]])
    inner = gaussian.inward(action, LOW, HIGH)
    centre, log_std = torch.tensor([[0.1, 0.2], [-1.0, 0.3]]), torch.tensor([[-1.0, 0.5], [0.0, -2.0]])
    base = torch.distributions.Normal(centre, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(base, [torch.distributions.TanhTransform(cache_size=1)])
    expected = -squashed.log_prob(torch.tanh(inner)).sum(1)
    torch.testing.assert_close(gaussian.negative_log_density(inner, centre, log_std), expected, rtol=1e-4, atol=1e-4)


def test_the_middle_is_zero_and_bounds_are_finite():
    assert gaussian.inward(torch.tensor([[0.0, 0.5]]), LOW, HIGH).tolist() == [[0, 0]]
    edges = gaussian.inward(torch.stack((LOW - 1, HIGH)), LOW, HIGH)
    assert edges.isfinite().all()
    assert edges[1].tolist() == pytest.approx((-edges[0]).tolist())


@pytest.mark.statistical
def test_moments_are_those_of_draws():
    """40,000 draws; five standard errors, false alarm below 1e-5."""
    centre, log_std = torch.tensor([[0.7, -1.0]]), torch.tensor([[-0.5, 0.2]])
    found = gaussian.moments(centre, log_std, LOW, HIGH)
    noise = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(1))
    draws = LOW + (HIGH - LOW) * (torch.tanh(centre + log_std.exp() * noise) + 1) / 2
    error = draws.std(0) / 200
    assert ((found.mean[0] - draws.mean(0)).abs() < 5 * error).all()
    spread = (draws - draws.mean(0)).square()
    assert ((found.variance[0] - spread.mean(0)).abs() < 5 * spread.std(0) / 200).all()


def test_no_spread_gives_the_squashed_centre():
    found = gaussian.moments(torch.tensor([[1.0, -0.5]]), torch.full((1, 2), -20.0), LOW, HIGH)
    torch.testing.assert_close(found.mean, LOW + (HIGH - LOW) * (torch.tanh(torch.tensor([[1.0, -0.5]])) + 1) / 2)
    assert (found.variance < 1e-12).all()


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_a_mixture_varies_at_least_as_much_as_its_members(seed, members):
    stream = torch.Generator().manual_seed(seed)
    mean, variance = torch.randn(members, 3, 2, generator=stream), torch.rand(members, 3, 2, generator=stream)
    found = gaussian.mixture(mean, variance)
    assert (found.variance >= variance.mean(0) - 1e-6).all()
    second = (variance + mean.square()).mean(0) - mean.mean(0).square()
    torch.testing.assert_close(found.variance, second, rtol=1e-4, atol=1e-5)
    if members == 1:
        torch.testing.assert_close(found.mean, mean[0])
