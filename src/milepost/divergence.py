"""How far a policy is from another, where that is known in closed form and need not be estimated from what it drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from milepost.forest import Forest
    from milepost.part import Loss, Policy


@dataclass(frozen=True, kw_only=True, eq=False)
class Against:
    """Steps under a policy and beside a reference, one value per row, differentiable in the policy."""

    log_prob: Tensor
    """Of what is stored, in nats; 0 at rows without a density."""
    divergence: Tensor
    """Of the policy's distribution of the step from the reference's: KL(policy || reference), in nats."""


@runtime_checkable
class Diverging(Protocol):
    """A policy that knows its divergence from a reference."""

    def against(self, forest: Forest, rows: Tensor, reference: Policy | None) -> Against:
        """Log-probability and divergence of rows; without a reference, from what drew them."""
        ...


@runtime_checkable
class PenalisesDivergence(Protocol):
    """An objective in which the divergence itself stands: from a reference if it needs one, else from what drew."""

    def compared(self, forest: Forest, against: Against) -> Loss:
        """Loss of the forest's steps."""
        ...
