"""The Gaussian transition: hand numbers, torch's own distributions, and the law of the data on a known mixture."""

import math

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError, ShapeError
from milepost.policies.flow import kernel
from milepost.policies.flow.noise import EvenNoise, FlowNoise
from tests.policies.flow import mixture

KEY = keys.root(4)


def normal(*shape, key=KEY):
    return torch.from_numpy(keys.normal([key], shape)[0])


def some(count=5, key=KEY):
    """Latents, outputs, times and standard deviations of some steps."""
    time = torch.linspace(0.2, 0.9, count, dtype=torch.float64)
    return normal(count, 3, 2), normal(count, 3, 2, key=key + 1), time, time / 2, torch.full_like(time, 0.2)


def test_flow_mean_by_hand():
    """x = 1, v = 2, t = 1/2, t' = 1/4, s = 1: 1 - 1/4 - 2 (1 + 1/2) / 4 = 0 exactly."""
    half, one = torch.tensor([0.5]), torch.tensor([1.0])
    std = kernel.FlowKernel().std(half, half / 2, one)
    assert float(std) == 0.5
    assert float(kernel.flow_mean(one, 2 * one, half, half / 2, std)) == pytest.approx(1 - 0.25 - 2 * 1.5 / 4)


def test_no_noise_is_the_ode_step():
    latent, output, time, after, _ = some()
    found = kernel.flow_mean(latent, output, time, after, torch.zeros_like(time))
    assert torch.equal(found, latent - output * kernel.across(time - after, latent))
    assert torch.equal(kernel.sample(found, torch.zeros_like(time), output), found)


def test_the_drift_holds_the_score():
    """mean - Euler's step = s^2 D / 2 * score, with score = -(x + (1 - t) v) / t."""
    latent, output, time, after, std = some()
    t = kernel.across(time, latent)
    score = -(latent + (1 - t) * output) / t
    euler = kernel.flow_mean(latent, output, time, after, torch.zeros_like(time))
    found = kernel.flow_mean(latent, output, time, after, std)
    torch.testing.assert_close(found - euler, kernel.across(std.square() / 2, latent) * score)


@pytest.mark.statistical
@pytest.mark.parametrize("noise", [EvenNoise(level=0.0), FlowNoise(scale=0.7), EvenNoise(level=0.7)])
def test_noise_keeps_the_marginals(noise, record_property):
    """Wasserstein distance to the data after 40 steps, of 1e5 samples: at most 0.05, with and without noise."""
    found = mixture.distance(mixture.sampled(noise, 40, KEY), mixture.data(100_000, KEY + 1))
    record_property("distance", found)
    assert found < 0.05


@pytest.mark.statistical
def test_without_the_score_the_law_is_another(record_property):
    """Noise alone moves the law by 0.5 and more, and more steps do not mend it."""

    def uncorrected(latent, velocity, time, after, std):
        return kernel.flow_mean(latent, velocity, time, after, torch.zeros_like(std))

    truth = mixture.data(100_000, KEY + 1)
    found = [mixture.distance(mixture.sampled(FlowNoise(), steps, KEY, mean=uncorrected), truth) for steps in (40, 160)]
    record_property("distances", found)
    assert min(found) > 0.4
    assert found[1] > 0.9 * found[0]


def test_log_prob_is_that_of_torch():
    latent, mean, _, _, std = some()
    truth = torch.distributions.Normal(mean, kernel.across(std, mean)).log_prob(latent).flatten(1)
    torch.testing.assert_close(kernel.log_prob(latent, mean, std, reduction="sum"), truth.sum(1))
    torch.testing.assert_close(kernel.log_prob(latent, mean, std, reduction="mean"), truth.mean(1))


def test_kl_is_that_of_torch():
    mean, other, _, _, std = some()
    first, second = (torch.distributions.Normal(one, kernel.across(std, mean)) for one in (mean, other))
    truth = torch.distributions.kl_divergence(first, second).flatten(1).sum(1)
    torch.testing.assert_close(kernel.kl(mean, other, std), truth)
    assert float(kernel.kl(mean, mean, std).max()) == 0


def test_kl_of_two_velocities():
    """KL = D / (2 s^2) (1 + s^2 (1 - t) / (2 t))^2 |v - v_ref|^2, as the specification states it."""
    latent, output, time, after, std = some()
    other = normal(5, 3, 2, key=KEY + 2)
    means = [kernel.flow_mean(latent, one, time, after, std) for one in (output, other)]
    length = time - after
    square = std.square() / length
    factor = length / (2 * square) * (1 + square * (1 - time) / (2 * time)).square()
    torch.testing.assert_close(kernel.kl(*means, std), factor * (output - other).square().flatten(1).sum(1))


def test_a_deterministic_step_has_no_density():
    latent, mean, _, _, std = some()
    std[2] = 0
    with pytest.raises(ShapeError, match="1 of 5 steps with standard deviation 0"):
        kernel.log_prob(latent, mean, std, reduction="sum")
    assert kernel.stochastic(std).tolist() == [True, True, False, True, True]


def test_more_noise_than_can_be_taken_back_is_refused():
    one = torch.ones(1)
    with pytest.raises(SettingError, match="Lower the noise level"):
        kernel.flow_mean(one, one, one / 10, one * 0, one)
    with pytest.raises(SettingError, match="at most 1"):
        kernel.diffusion_mean(one, one, one / 10, one / 2, one)


def test_diffusion_recovers_the_data_from_the_true_noise():
    """With the true noise, the deterministic step stays on the path sqrt(a) x0 + sqrt(1 - a) e."""
    data, noise = normal(4, 3), normal(4, 3, key=KEY + 1)
    now, after = torch.full((4,), 0.8, dtype=torch.float64), torch.full((4,), 0.3, dtype=torch.float64)

    def path(time):
        share = kernel.across(kernel.kept(time), data)
        return share.sqrt() * data + (1 - share).sqrt() * noise

    found = kernel.DiffusionKernel().mean(path(now), noise, now, after, torch.zeros_like(now))
    torch.testing.assert_close(found, path(after))


def test_diffusion_at_level_one_is_ddpm():
    """The variance is that of the posterior q(x' | x, x0): (1 - a') / (1 - a) (1 - a / a')."""
    now, after, one = (torch.tensor([value], dtype=torch.float64) for value in (0.5, 0.4, 1.0))
    share, later = kernel.kept(now), kernel.kept(after)
    truth = (1 - later) / (1 - share) * (1 - share / later)
    torch.testing.assert_close(kernel.DiffusionKernel().std(now, after, one).square(), truth)


@pytest.mark.statistical
def test_samples_have_the_stated_moments():
    mean, std = torch.tensor([[2.0]]).expand(40_000, 1), torch.full((40_000,), 0.5)
    drawn = kernel.sample(mean, std, normal(40_000, 1).float())
    assert abs(float(drawn.mean()) - 2) < 5 * 0.5 / math.sqrt(40_000)
    assert abs(float(drawn.std()) - 0.5) < 5 * 0.5 / math.sqrt(80_000)


def test_across_shapes_one_number_per_row():
    assert kernel.across(torch.ones(2), torch.ones(2, 3, 4)).shape == (2, 1, 1)


@pytest.mark.parametrize("part", [kernel.FlowKernel(), kernel.DiffusionKernel()])
def test_clean_and_towards_are_inverse(part):
    """On the true noise and velocity the clean latent is the data; back again it is the output."""
    data, noise, time = normal(5, 3), normal(5, 3, key=KEY + 1), torch.tensor([0.1, 0.3, 0.5, 0.8, 0.99])
    across = kernel.across(time, data)
    share = kernel.across(kernel.kept(time), data)
    flow = isinstance(part, kernel.FlowKernel)
    latent = (1 - across) * data + across * noise if flow else share.sqrt() * data + (1 - share).sqrt() * noise
    output = noise - data if flow else noise
    clean = part.clean(latent, output, time)
    torch.testing.assert_close(clean, data, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(part.towards(latent, clean, time), output, atol=1e-5, rtol=1e-4)
