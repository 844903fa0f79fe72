"""Vectors that describe steps, written by the policy for credit rules that read them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Credit, Policy

GRADIENT = "feature.gradient"
"""Sum over the tokens that the policy chose of what their log-probability asks of the last hidden state."""
VALUE = "feature.value"
"""Value of the state arrived at, by the critic: one number per stream of rewards."""


@runtime_checkable
class Directs(Protocol):
    """A policy that can say which way each step would pull it."""

    def directions(self, forest: Forest, rows: Tensor) -> Tensor:
        """One vector per row, 0 where the policy chose nothing."""
        ...


@runtime_checkable
class Values(Protocol):
    """A policy with a critic."""

    def values(self, forest: Forest, rows: Tensor) -> Tensor:
        """Values of the states arrived at, without a gradient: one row per row, one column per stream of rewards."""
        ...


def described(forest: Forest, policy: Policy, credit: Credit) -> Forest:
    """Write the vectors that a credit rule reads.

    Args:
        forest: a scored batch.
        policy: the one that sampled it, before it is updated.
        credit: the rule; its `reads` says whether it needs them.

    Returns:
        The forest, with `feature.gradient` if the rule reads it and it is not there yet, and with `feature.value` if
        the rule reads it and the policy has a critic.

    Raises:
        SettingError: the policy has no gradient directions.
    """
    if VALUE in credit.reads and VALUE not in forest and isinstance(policy, Values):
        forest = forest.with_columns({VALUE: policy.values(forest, torch.arange(len(forest)))})
    if GRADIENT not in credit.reads or GRADIENT in forest:
        return forest
    if not isinstance(policy, Directs):
        raise SettingError(
            f"The credit rule reads {GRADIENT!r}, and {type(policy).__name__} has no directions(forest, rows): use a "
            "language model whose weights are here, or write the column yourself."
        )
    return forest.with_columns({GRADIENT: policy.directions(forest, torch.arange(len(forest)))})
