"""Weights of a module that are trained: which they are, and loading them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from milepost.errors import ResumeError


class HasParameters(Protocol):
    """What is asked of a model: its parameters by name, as `torch.nn.Module` gives them."""

    def named_parameters(self) -> Iterable[tuple[str, Tensor]]:
        """Name and parameter, in a fixed order."""
        ...


def trainable(module: HasParameters) -> dict[str, Tensor]:
    """Parameters that receive gradients.

    Args:
        module: the model.

    Returns:
        Name to parameter, in the module's order.
    """
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


@torch.no_grad()
def restore(module: HasParameters, tensors: Mapping[str, Tensor]) -> None:
    """Load the trainable parameters of a module.

    Args:
        module: the model, changed in place.
        tensors: name to values, as `trainable` names them.

    Raises:
        ResumeError: the names differ.
    """
    own = trainable(module)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[:3]
        raise ResumeError(f"The weights do not fit the model: {odd} ... are on one side only.")
    for name, value in own.items():
        value.copy_(tensors[name])
