"""A flow in the plane towards four corners: the exact velocity and what a few radial functions add to it.

Small enough to train in seconds; the reward is minus the distance to a point between two of the corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from milepost import keys
from milepost.environments.denoising import Denoising
from milepost.forest import Forest
from milepost.policies.flow.denoiser import Denoiser
from milepost.sampling.frontier import Draw, grow

CORNERS = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
SPREAD, POINT, STEPS = 0.3, torch.tensor([1.0, 1.0]), 10
WORLD = Denoising(train_size=10)


def velocity(latent: Tensor, time: Tensor) -> Tensor:
    """Of the mixture's flow, in closed form."""
    t = time[:, None]
    variance = (1 - t).square() * SPREAD**2 + t.square()
    centre = (1 - t)[:, :, None] * CORNERS[None]
    apart = latent[:, None] - centre
    share = (-apart.square().sum(2) / (2 * variance)).softmax(1)
    clean = CORNERS[None] + ((1 - t) * SPREAD**2 / variance)[:, :, None] * apart
    x0 = (share[:, :, None] * clean).sum(1)
    return (latent - x0) / t


class Planar(nn.Module):
    """The exact velocity plus a weighted sum of 36 radial functions for every tenth of time."""

    shape = (2,)

    def __init__(self) -> None:
        """Begin with weights 0."""
        super().__init__()
        side = torch.linspace(-3, 3, 6)
        self.register_buffer("centres", torch.cartesian_prod(side, side))
        self.weight = nn.Parameter(torch.zeros(STEPS, 36, 2))

    def forward(self, latent: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Velocity."""
        near = (-(latent[:, None] - self.centres[None]).square().sum(2) / 2).exp()
        place = (time * STEPS).round().long().clamp(1, STEPS) - 1
        return velocity(latent, time) + torch.einsum("nk,nkd->nd", near, self.weight[place])


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """Minus the distance of the finished point to `POINT`, as `reward.total`."""

    def __call__(self, forest: Forest) -> Forest:
        """Score the leaves."""
        leaf = torch.zeros(len(forest), dtype=torch.bool).index_fill(0, forest.leaves(), True)
        value = -(forest["latent"] - POINT).norm(dim=1)
        return forest.with_columns({"reward.total": value, "ok.total": leaf}).with_valid("reward.total", leaf)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to."""

    reward: float
    """Mean over 2000 points drawn without noise."""
    calls: float


def trained(job, *, updates, groups, rate, seed):
    """Train on `groups` groups a step by plain gradient descent."""
    policy = Denoiser(network=Planar(), process=job.process)
    optimiser = torch.optim.SGD(list(policy.trainable().values()), lr=rate)
    key, calls = keys.root(seed), 0.0
    draws = [Draw(task=WORLD.train()[number]) for number in range(groups)]
    for step in range(updates):
        forest = grow(draws, policy=policy, environment=WORLD, sampler=job.sampler, key=keys.fold(key, step))
        calls += float(forest["cost.model_calls"].nan_to_num().sum())
        forest = job.credit(Nearness()(forest))
        seen = forest if job.view is None else job.view(forest)
        optimiser.zero_grad()
        job.objective(seen, policy.log_prob(seen, torch.arange(len(seen)))).loss.backward()
        optimiser.step()
        policy.advance()
    return Trained(reward=evaluated(policy), calls=calls)


@torch.no_grad()
def evaluated(policy):
    """Mean reward without noise, from the same 2000 first noises."""
    noise = torch.from_numpy(keys.normal([keys.root(77)], (2000, 2))[0]).float()
    ones = torch.ones(2000)
    found = policy.greedy().complete(noise, ones, torch.zeros(2000, dtype=torch.int64))
    return float(-(found - POINT).norm(dim=1).mean())
