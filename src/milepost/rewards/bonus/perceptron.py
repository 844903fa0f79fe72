"""A perceptron as a function of its weights, so that a reward's state can hold them, and one step of Adam on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from milepost import keys

Weights = Mapping[str, Tensor]


def weights(sizes: tuple[int, ...], key: int) -> dict[str, Tensor]:
    """Random weights.

        w ~ N(0, 2 / inputs) before a ReLU, N(0, 1 / inputs) in the last layer; biases 0

    Args:
        sizes: inputs, hidden layers, outputs.
        key: decides them.

    Returns:
        Matrices and biases by name.

    Source: He et al. 2015.
    """
    found: dict[str, Tensor] = {}
    for layer in range(len(sizes) - 1):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        drawn = torch.from_numpy(keys.normal([keys.fold(key, "layer", layer)], (outputs, inputs))[0]).float()
        last = layer == len(sizes) - 2
        found[f"weight{layer}"] = drawn * ((1.0 if last else 2.0) / inputs) ** 0.5
        found[f"bias{layer}"] = torch.zeros(outputs)
    return found


def outputs(held: Weights, rows: Float[Tensor, "n s"]) -> Float[Tensor, "n d"]:
    """Outputs of a perceptron with ReLU between its layers.

    Args:
        held: its weights.
        rows: inputs.

    Returns:
        One row per input.
    """
    layers = len(held) // 2
    for layer in range(layers):
        rows = torch.nn.functional.linear(rows, held[f"weight{layer}"], held[f"bias{layer}"])
        rows = rows if layer == layers - 1 else rows.relu()
    return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Learnt:
    """Weights, their moments, and how many steps they took."""

    weights: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: Float[Tensor, ""]

    @staticmethod
    def fresh(held: dict[str, Tensor]) -> Learnt:
        """Before the first step."""
        zero = {name: torch.zeros_like(value) for name, value in held.items()}
        return Learnt(weights=held, first=zero, second=dict(zero), steps=torch.zeros((), dtype=torch.float64))


def step(learnt: Learnt, slope: Mapping[str, Tensor], *, rate: float) -> Learnt:
    """One step of Adam.

        m <- 0.9 m + 0.1 g,   v <- 0.999 v + 0.001 g^2,   w <- w - rate m^ / (sqrt(v^) + 1e-8)

    Args:
        learnt: weights and moments.
        slope: gradient by name.
        rate: learning rate.

    Returns:
        After the step.

    Source: Kingma and Ba 2015.
    """
    count = float(learnt.steps) + 1
    first = {name: 0.9 * learnt.first[name] + 0.1 * slope[name] for name in learnt.weights}
    second = {name: 0.999 * learnt.second[name] + 0.001 * slope[name].square() for name in learnt.weights}
    held = {
        name: value - rate * (first[name] / (1 - 0.9**count)) / ((second[name] / (1 - 0.999**count)).sqrt() + 1e-8)
        for name, value in learnt.weights.items()
    }
    return Learnt(weights=held, first=first, second=second, steps=learnt.steps + 1)
