"""A Gaussian squashed by tanh into an action range: its density, mean and variance, and mixtures of several.

Source: Zheng et al. 2023 (SS-ORL), inverse dynamics model; the squashing is Haarnoja et al. 2018, appendix C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

EDGE = 1e-2
"""Share of the range that is cut off at each end before tanh is inverted, where it would be infinite.

With the published 1e-6 an action at its bound becomes 7.25. Where a sixth of all actions are there, as in swinging up
Gymnasium's pendulum, the model explains 0.76 of their variance instead of 0.99.
"""
_NODES = 21


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Mean and variance of an action, per number of it."""

    mean: Float[Tensor, "n a"]
    variance: Float[Tensor, "n a"]


def inward(action: Float[Tensor, "n a"], low: Float[Tensor, " a"], high: Float[Tensor, " a"]) -> Float[Tensor, "n a"]:
    """Map actions to the unbounded variable that the Gaussian is over.

        u = atanh(clip(2 (a - low) / (high - low) - 1, -1 + EDGE, 1 - EDGE))

    Args:
        action: actions, in their own unit; beyond the range they are clipped.
        low: smallest value of each number.
        high: largest value, above `low`.

    Returns:
        Finite numbers.

    Limits: the middle of the range is 0.
    """
    unit = 2 * (action.to(torch.float64) - low) / (high - low) - 1
    return torch.atanh(unit.clamp(-1 + EDGE, 1 - EDGE)).to(action.dtype)


def negative_log_density(
    inner: Float[Tensor, "n a"], centre: Float[Tensor, "n a"], log_std: Float[Tensor, "n a"]
) -> Float[Tensor, " n"]:
    """Negative log-density of actions under the squashed Gaussian, in units of half the range.

        -log p = sum_j [ (u_j - m_j)^2 / (2 s_j^2) + log s_j + log(2 pi) / 2 + log(1 - tanh(u_j)^2) ]

    Args:
        inner: u, see `inward`.
        centre: m.
        log_std: log s, in nats.

    Returns:
        Nats, one number per action.
    """
    standard = (inner - centre) * torch.exp(-log_std)
    squash = 2 * (math.log(2) - inner - torch.nn.functional.softplus(-2 * inner))
    return (standard.square() / 2 + log_std + math.log(2 * math.pi) / 2 + squash).sum(1)


def moments(
    centre: Float[Tensor, "n a"], log_std: Float[Tensor, "n a"], low: Float[Tensor, " a"], high: Float[Tensor, " a"]
) -> Moments:
    """Mean and variance of an action, by Gauss-Hermite quadrature.

        E[f] = sum_i w_i f(m + sqrt(2) s x_i) / sqrt(pi),   f = low + (high - low) (tanh + 1) / 2

    Args:
        centre: m.
        log_std: log s, in nats.
        low: smallest value of each number of an action.
        high: largest value.

    Returns:
        In action units; the variance in their square.

    Limits: s -> 0 gives the squashed centre and no variance.
    """
    nodes, weights = (torch.from_numpy(part).to(centre.dtype) for part in np.polynomial.hermite.hermgauss(_NODES))
    weights = weights / weights.sum()
    unit = torch.tanh(centre[..., None] + math.sqrt(2) * torch.exp(log_std)[..., None] * nodes)
    mean = (unit * weights).sum(-1)
    variance = ((unit - mean[..., None]).square() * weights).sum(-1)
    half = (high - low) / 2
    return Moments(mean=low + half * (mean + 1), variance=variance * half.square())


def mixture(mean: Float[Tensor, "e n a"], variance: Float[Tensor, "e n a"]) -> Moments:
    """Mean and variance of an equal mixture of several models.

        mu = mean_e mu_e,   var = mean_e var_e + mean_e (mu_e - mu)^2 = mean_e (var_e + mu_e^2) - mu^2

    Args:
        mean: mean of each member.
        variance: variance of each member.

    Returns:
        Moments of the mixture; its variance is at least the mean variance of its members.

    Limits: one member is itself.
    """
    centre = mean.mean(0)
    return Moments(mean=centre, variance=variance.mean(0) + (mean - centre).square().mean(0))
