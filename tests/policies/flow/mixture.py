"""A mixture of two Gaussians in one dimension, whose exact velocity is known: the truth that samplers are held to."""

import torch

from milepost import keys
from milepost.policies.flow import kernel
from milepost.policies.flow.noise import Grid

WEIGHT, CENTRE, WIDTH = torch.tensor([0.3, 0.7]), torch.tensor([-2.0, 2.0]), 0.5


def velocity(latent, time):
    """E[noise - data | x_t = latent], from the posterior of the component."""
    variance = ((1 - time) * WIDTH).square() + time.square()
    apart = latent - (1 - time) * CENTRE
    share = (WEIGHT.log() - apart.square() / (2 * variance)).softmax(1)
    data = CENTRE + (1 - time) * WIDTH**2 / variance * apart
    noise = time / variance * apart
    return (share * (noise - data)).sum(1, keepdim=True)


def data(count, key):
    """Samples of the mixture."""
    stream = keys.generator(key)
    component = torch.from_numpy(stream.random(count) < float(WEIGHT[1])).long()
    return CENTRE[component] + WIDTH * torch.from_numpy(stream.standard_normal(count)).float()


def sampled(noise, steps, key, *, count=100_000, mean=kernel.flow_mean):
    """Samples of the chain of kernels from pure noise to time 0."""
    grid, levels = Grid(steps=steps)(), noise(Grid(steps=steps)(), 0)
    stream = keys.generator(key)

    def normal():
        return torch.from_numpy(stream.standard_normal((count, 1))).float()

    latent = normal()
    for place in range(steps):
        now, after = grid[place].expand(count), grid[place + 1].expand(count)
        std = kernel.FlowKernel().std(now, after, levels[place].expand(count))
        centre = mean(latent, velocity(latent, now[:, None]), now, after, std)
        latent = kernel.sample(centre, std, normal())
    return latent.squeeze(1)


def distance(first, second):
    """Wasserstein-1 distance of two samples of equal size."""
    return float((first.sort().values - second.sort().values).abs().mean())
