"""Running scales: of observations before they enter the networks, and of bonuses by the spread of their returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import segments


@dataclass(frozen=True, kw_only=True, eq=False)
class Running:
    """Count, mean and sum of squared distances to the mean of everything seen so far, per entry."""

    count: Float[Tensor, ""]
    mean: Float[Tensor, " s"]
    square: Float[Tensor, " s"]

    @staticmethod
    def nothing(size: int) -> Running:
        """Before anything is seen."""
        zero = torch.zeros(size, dtype=torch.float64)
        return Running(count=torch.zeros((), dtype=torch.float64), mean=zero, square=zero.clone())

    def std(self) -> Float[Tensor, " s"]:
        """Population standard deviation; 0 before anything is seen."""
        return (self.square / self.count.clamp(min=1)).sqrt()


def joined(running: Running, rows: Float[Tensor, "n s"]) -> Running:
    """Statistics of what was seen before and of new rows.

        mean' = mean + delta n / N,   square' = square + square_new + delta^2 count n / N,   N = count + n

    Args:
        running: before.
        rows: new rows.

    Returns:
        After; exactly as if all had been seen at once.

    Source: Chan, Golub and LeVeque 1979.
    """
    n = len(rows)
    if n == 0:
        return running
    rows = rows.double()
    mean, total = rows.mean(0), running.count + n
    apart = mean - running.mean
    square = (rows - mean).square().sum(0)
    return Running(
        count=total,
        mean=running.mean + apart * n / total,
        square=running.square + square + apart.square() * running.count * n / total,
    )


def aged(running: Running, keep: float) -> Running:
    """Statistics in which everything seen so far weighs less.

    Args:
        running: before.
        keep: factor of its weight, in [0, 1].

    Returns:
        Same mean and spread, fewer observations.
    """
    return Running(count=running.count * keep, mean=running.mean, square=running.square * keep)


def whitened(running: Running, rows: Float[Tensor, "n s"], *, limit: float) -> Float[Tensor, "n s"]:
    """Rows in units of the standard deviation, cut to a size; entries that never change keep their unit.

        clip((x - mean) / std, -limit, limit)

    Args:
        running: statistics.
        rows: what to scale.
        limit: largest size.

    Returns:
        float32, like rows.

    Source: RND, arXiv:1810.12894, section 2.4.
    """
    std = running.std()
    scale = torch.where(std > 1e-2, std, 1.0)
    return ((rows.double() - running.mean) / scale).clamp(-limit, limit).float()


def discounted_along(reward: Float[Tensor, " n"], parent: Int[Tensor, " n"], *, discount: float) -> Float[Tensor, " n"]:
    """Discounted sum of rewards along TIME: from the start of each episode down to each row.

        R_i = reward_i + discount R_{parent_i}

    Its spread is the unit of bonuses. A filter that runs over environments in place of time is a widely copied mistake.

    Args:
        reward: one per row.
        parent: row of the step before, -1 for a root.
        discount: in [0, 1].

    Returns:
        Reward units.

    Source: RND, arXiv:1810.12894, section 2.4.   Limits: discount = 1 is a sum along the path, 0 the reward.
    """
    if discount == 1.0:
        return segments.path_sum(reward, parent)
    size = len(parent)
    total = torch.cat((reward, reward.new_zeros(1)))
    scale = torch.full_like(total, discount)
    link = torch.cat((torch.where(parent >= 0, parent, size), parent.new_full((1,), size)))
    while bool((link < size).any()):  # compose R_i = a_i + s_i R_link by pointer doubling
        total, scale, link = total + scale * total[link], scale * scale[link], link[link]
    return total[:size]
