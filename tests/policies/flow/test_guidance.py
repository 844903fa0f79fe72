"""Guided sampling against the exact tilted law of a known mixture, and what each coefficient comes to."""

import math
from dataclasses import dataclass

import pytest
import torch

from milepost import keys
from milepost.errors import SettingError
from milepost.policies.flow import guidance, kernel
from milepost.policies.flow.guidance import Langevin, Leaving, Tilted
from milepost.policies.flow.noise import EvenNoise, FlowNoise, Grid
from milepost.rewards.images.noisy import NoisyClass
from tests.policies.flow import mixture

KEY, SLOPE = keys.root(12), 0.5


@dataclass(frozen=True, kw_only=True)
class Exact:
    """V(x, t) = ln E[exp(SLOPE x_0) | x_t = x] on the mixture, in closed form."""

    def __call__(self, latent, time, condition):
        t = time[:, None]
        variance = ((1 - t) * mixture.WIDTH).square() + t.square()
        apart = latent - (1 - t) * mixture.CENTRE
        share = (mixture.WEIGHT.log() - apart.square() / (2 * variance)).log_softmax(1)
        centre = mixture.CENTRE + (1 - t) * mixture.WIDTH**2 / variance * apart
        left = mixture.WIDTH**2 * t.square() / variance
        return (share + SLOPE * centre + SLOPE**2 * left / 2).logsumexp(1)


def target():
    """P(x_0 > 0) under p(x_0) exp(SLOPE x_0): each component is moved by SLOPE WIDTH^2 and weighed anew."""
    weight = (mixture.WEIGHT.log() + SLOPE * mixture.CENTRE).softmax(0)
    moved = mixture.CENTRE + SLOPE * mixture.WIDTH**2
    return float((weight * (0.5 * (1 + (moved / mixture.WIDTH / math.sqrt(2)).erf()))).sum())


def right(guide, noise, *, steps=100, count=20_000, key=KEY):
    """Share of guided samples on the right."""
    grid, levels, stream = Grid(steps=steps)(), noise(Grid(steps=steps)(), 0), keys.generator(key)
    latent = torch.from_numpy(stream.standard_normal((count, 1))).float()
    for place in range(steps):
        now, after = grid[place].expand(count), grid[place + 1].expand(count)
        level = levels[place].expand(count) if place < steps - 1 else torch.zeros(count)
        leaving = Leaving(
            latent=latent,
            output=mixture.velocity(latent, now[:, None]),
            condition=torch.zeros(count, dtype=torch.int64),
            time=now,
            after=after,
            std=kernel.FlowKernel().std(now, after, level),
            place=torch.full((count,), place),
        )
        noisy = torch.from_numpy(stream.standard_normal((count, 1))).float()
        latent = kernel.sample(guide(kernel.FlowKernel(), leaving).mean, leaving.std, noisy)
    return float((latent > 0).double().mean())


def some(place=(0, 1, 2, 3, 4), *, value=None):
    """Five steps, and the slope of a value at them."""
    normal = torch.from_numpy(keys.normal([1], (2, 5, 1))[0]).float()
    time = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.2])
    leaving = Leaving(
        latent=normal[0],
        output=normal[1],
        condition=torch.zeros(5, dtype=torch.int64),
        time=time,
        after=time - 0.2,
        std=torch.tensor([0.3, 0.3, 0.0, 0.2, 0.1]),
        place=torch.tensor(place),
    )
    rise = guidance.slope(value or Exact(), leaving.latent, time, leaving.condition)
    bare = kernel.flow_mean(leaving.latent, leaving.output, time, leaving.after, leaving.std)
    return leaving, rise, bare


def test_the_slope_is_that_of_finite_differences():
    latent, time = torch.linspace(-2, 2, 7, dtype=torch.float64)[:, None], torch.full((7,), 0.4, dtype=torch.float64)
    none, small = torch.zeros(7, dtype=torch.int64), 1e-5
    found = guidance.slope(Exact(), latent, time, none)
    truth = (Exact()(latent + small, time, none) - Exact()(latent - small, time, none)) / (2 * small)
    torch.testing.assert_close(found.squeeze(1), truth, rtol=1e-5, atol=1e-7)
    assert not found.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(guidance.slope(Exact(), latent, time, none), found)


def test_no_gradient_is_unguided():
    """Bit for bit, for both guides: Flow-GRPO's or DanceGRPO's step, by the noise."""

    def flat(latent, time, condition):
        return 0 * latent.sum(1)

    leaving, _, bare = some(value=flat)
    for part in (Langevin, Tilted):
        assert torch.equal(part(value=flat)(kernel.FlowKernel(), leaving).mean, bare)


def test_weights_are_as_stated():
    """Langevin: std^2 / (2 beta). Tilted: (t / (1 - t) D + std^2 / 2) / beta, nothing at t = 1."""
    leaving, rise, bare = some()
    found = Langevin(value=Exact(), beta=2.0)(kernel.FlowKernel(), leaving)
    torch.testing.assert_close(found.mean - bare, leaving.std[:, None].square() / 4 * rise, atol=1e-6, rtol=1e-5)
    assert found.asked.tolist() == [True, True, False, True, True]
    found = Tilted(value=Exact(), beta=2.0)(kernel.FlowKernel(), leaving)
    weight = (leaving.time / (1 - leaving.time) * 0.2 + leaving.std.square() / 2)[1:, None] / 2
    torch.testing.assert_close((found.mean - bare)[1:], weight * rise[1:], atol=1e-6, rtol=1e-5)
    assert found.asked.tolist() == [False, True, True, True, True]
    assert torch.equal(found.mean[0], bare[0])


def test_outside_the_window_nothing_is_asked():
    leaving, _, bare = some()
    for part in (Langevin, Tilted):
        found = part(value=Exact(), first=3, last=3)(kernel.FlowKernel(), leaving)
        assert found.asked.tolist() == [False, False, False, True, False]
        assert torch.equal(found.mean[[0, 1, 2, 4]], bare[[0, 1, 2, 4]])
        assert not torch.equal(found.mean[3], bare[3])


def test_a_diffusion_is_tilted_in_its_own_terms():
    """What the tilted noise foresees is x0 + (1 - a) / sqrt(a) grad V: Tweedie's formula with the tilted score."""
    leaving, rise, _ = some()
    own, share = kernel.DiffusionKernel(), kernel.kept(leaving.time)[:, None]
    output = own.tilted(leaving.output, rise, leaving.time)
    moved = own.clean(leaving.latent, output, leaving.time) - own.clean(leaving.latent, leaving.output, leaving.time)
    torch.testing.assert_close(moved, (1 - share) / share.sqrt() * rise, atol=1e-5, rtol=1e-4)
    flow = kernel.FlowKernel()
    time = leaving.time[1:]
    output = flow.tilted(leaving.output[1:], rise[1:], time)
    moved = flow.clean(leaving.latent[1:], output, time) - flow.clean(leaving.latent[1:], leaving.output[1:], time)
    weight = (time.square() / (1 - time))[:, None]
    torch.testing.assert_close(moved, weight * rise[1:], atol=1e-5, rtol=1e-4)


@pytest.mark.statistical
def test_langevin_at_fixed_time(record_property):
    """The correction alone, at t = 0.5, many small steps: the mean of p_t exp(x / 2), within 5 standard errors."""
    count, small, time = 4000, 0.02, torch.tensor([0.5])
    stream, spread = keys.generator(KEY), torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    variance = (0.5 * mixture.WIDTH) ** 2 + 0.25
    centre = 0.5 * mixture.CENTRE.double()
    density = (mixture.WEIGHT * (-(spread[:, None] - centre).square() / (2 * variance)).exp()).sum(1) * (
        spread / 2
    ).exp()
    truth = float((density * spread).sum() / density.sum())
    latent, none = torch.from_numpy(stream.standard_normal((count, 1))).float(), torch.zeros(count, dtype=torch.int64)
    std = torch.full((count,), small**0.5)
    for _ in range(1500):
        velocity = mixture.velocity(latent, time[:, None])
        leaving = Leaving(
            latent=latent,
            output=velocity,
            condition=none,
            time=time.expand(count),
            after=time.expand(count) - small,
            std=std,
            place=none,
        )
        steered = Langevin(value=lambda x, t, c: x.sum(1) / 2)(kernel.FlowKernel(), leaving)
        transport = -velocity * small  # of the flow, which moves time on: left out
        noise = torch.from_numpy(stream.standard_normal((count, 1))).float()
        latent = kernel.sample(steered.mean - transport, std, noise)
    record_property("mean", (float(latent.mean()), truth))
    assert abs(float(latent.mean()) - truth) < 5 * float(latent.std()) / math.sqrt(count) + 0.01


@pytest.mark.statistical
@pytest.mark.parametrize(
    "noise", [EvenNoise(level=0.0), EvenNoise(level=0.25), FlowNoise(scale=0.7), FlowNoise(scale=1.2)]
)
def test_exact_law(noise, record_property):
    """P(right) is that of the tilted mixture within 0.012 (5 standard errors are 0.008, the rest is the steps)."""
    found = right(Tilted(value=Exact()), noise)
    record_property("share", (found, target()))
    assert found == pytest.approx(target(), abs=0.012)


@pytest.mark.statistical
def test_in_ten_steps_the_exact_law_is_missed_by_a_little(record_property):
    """At a = 0.7 P(right) is 0.936 where 0.945 is wanted: the first step goes unguided, and steps are long.

    Within 0.015 of the law; 40 steps come nearer. Without noise ten are enough.
    """
    noise, error = FlowNoise(scale=0.7), math.sqrt(0.945 * 0.055 / 20_000)
    few, more, still = (
        right(Tilted(value=Exact()), kind, steps=steps)
        for kind, steps in ((noise, 10), (noise, 40), (EvenNoise(level=0.0), 10))
    )
    record_property("shares", (few, more, still, target()))
    assert few == pytest.approx(target(), abs=0.015)
    assert few < more
    assert still == pytest.approx(target(), abs=5 * error)


def test_at_the_first_time_the_limit_is_a_shift_of_the_mean():
    """t / (1 - t) grad V is E_tilted[x_0] - E[x_0] as t goes to 1, not 0: what the first step leaves out."""
    latent = torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64)
    time, none = torch.full((3,), 1 - 1e-5, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    found = time[:, None] / (1 - time[:, None]) * guidance.slope(Exact(), latent, time, none)
    centre, weight = mixture.CENTRE.double(), mixture.WEIGHT.double()
    tilted = (weight.log() + SLOPE * centre).softmax(0) @ (centre + SLOPE * mixture.WIDTH**2)
    assert found.flatten().tolist() == pytest.approx([float(tilted - weight @ centre)] * 3, abs=1e-3)


@pytest.mark.statistical
def test_published_undertilts(record_property):
    """With the published coefficient it goes part of the way from the prior's 0.70 to 0.945."""
    found = [right(Langevin(value=Exact()), noise) for noise in (EvenNoise(level=0.25), FlowNoise(scale=0.7))]
    record_property("shares", found)
    assert target() == pytest.approx(0.945, abs=2e-3)
    assert found[0] == pytest.approx(0.705, abs=0.015)
    assert 0.74 < found[1] < 0.84


@pytest.mark.parametrize("part", [Langevin, Tilted])
def test_ranges_are_checked(part):
    for wrong in ({"beta": 0.0}, {"first": -1}, {"last": -2}, {"density": "sure"}):
        with pytest.raises(SettingError):
            part(value=Exact(), **wrong)


def test_exact_guidance_by_a_value_for_another_beta_is_refused():
    """ln p(class | noisy) is beta ln E[exp(ln p(class) / beta)] for beta = 1 only; the published form takes any."""
    assert Langevin(value=NoisyClass(), beta=0.5).beta == 0.5
    assert Tilted(value=NoisyClass()).beta == 1
    with pytest.raises(SettingError, match=r"not the tilted law.*--beta 1"):
        Tilted(value=NoisyClass(), beta=0.5)
