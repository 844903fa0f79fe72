"""The tabular truth behind bonuses: statistics of the best predictor after n visits, and bonuses from true counts."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.errors import ShapeError


def best_prediction(target: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """What a predictor without limits says of a state after it saw these targets there: their mean.

        f*_n = 1/n sum_i c_i

    Args:
        target: one per visit.

    Returns:
        One number per output.

    Source: RDD; the least-squares solution.
    """
    return target.mean(0)


def visit_statistic(
    predicted: Float[Tensor, "*b d"], mean: Float[Tensor, "*b d"], *, sigma: float
) -> Float[Tensor, "*b"]:
    """Estimate of 1/n without bias, where `predicted` is the best prediction after n Gaussian targets.

        z_n = || f*_n - mu ||^2 / (d sigma^2),   E z_n = 1 / n,   Var z_n = 2 / (d n^2)

    Args:
        predicted: f*_n.
        mean: mu, the mean of the targets.
        sigma: their standard deviation.

    Returns:
        At least 0.

    Source: RDD.
    """
    return (predicted - mean).square().mean(-1) / sigma**2


def moving_prediction_error(*, step: float, sigma: float) -> float:
    """Mean squared error per output to which a predictor with a constant step converges: a bonus never falls below it.

        f <- f + step (c - f)   gives   sigma^2 step / (2 - step)

    Args:
        step: in (0, 1].
        sigma: standard deviation of the targets.

    Returns:
        Squared output units.

    Source: the variance of an exponential average.   Limits: step -> 0 gives 0, step = 1 gives sigma^2.
    """
    return sigma**2 * step / (2 - step)


def visits(state: Int[Tensor, " n"], seen: Int[Tensor, " s"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " s"]]:
    """Visits of each state up to and with each row, and the counts after the last one.

    Args:
        state: number of the state of each row, in order of time.
        seen: visits of every state before.

    Returns:
        One count per row, and one per state.

    Raises:
        ShapeError: a state beyond those counted.
    """
    if len(state) and (int(state.min()) < 0 or int(state.max()) >= len(seen)):
        raise ShapeError(f"A state is {int(state.max())}, expected numbers in [0, {len(seen)}).")
    order = state.argsort(stable=True)
    sorted_state = state[order]
    place = torch.arange(len(state))
    begins = torch.ones(len(state), dtype=torch.bool)
    begins[1:] = sorted_state[1:] != sorted_state[:-1]
    first = place.where(begins, 0).cummax(0).values
    within = torch.empty_like(place).index_copy_(0, order, place - first)
    after = seen + torch.bincount(state, minlength=len(seen))
    return seen[state] + within + 1, after


def count_bonus(count: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Bonus of a state by its true number of visits.

        b = n^(-1/2)

    Args:
        count: at least 1.

    Returns:
        In (0, 1].

    Source: Strehl and Littman 2008, MBIE-EB.
    """
    return count.double().rsqrt().float()
