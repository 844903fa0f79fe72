"""Forests of tokens in many shapes, and the plain way to compute their log-probabilities: every path by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from milepost import keys
from milepost.columns import Role
from milepost.forest import Forest
from milepost.ragged import Ragged

KEY = keys.root(23)


def forest_of(parent: Sequence[int], length: Sequence[int], *, observed: int = 0) -> Forest:
    """Roots are prompts; other rows are written by the policy, but for their last `observed` tokens."""
    ids, roles = [], []
    for row, (above, size) in enumerate(zip(parent, length, strict=True)):
        ids.append(keys.generator(keys.fold(KEY, row)).integers(3, 98, size).tolist())
        seen = observed if size > observed else 0
        own = [int(Role.PROMPT)] * size if above < 0 else [int(Role.POLICY)] * (size - seen)
        roles.append(own + [int(Role.OBSERVATION)] * (size - len(own)))
    return Forest.of(parent, {"tokens.id": Ragged.of(ids, torch.int32), "tokens.role": Ragged.of(roles, torch.int8)})


def chain(turns: int, size: int) -> tuple[list[int], list[int]]:
    """One trajectory."""
    return list(range(-1, turns)), [size] * (turns + 1)


SHAPES: dict[str, tuple[list[int], list[int]]] = {
    "single row": ([-1, 0], [5, 4]),
    "one token": ([-1, 0, 0], [3, 1, 1]),
    "fan": ([-1, *[0] * 12], [9, *[1 + row % 7 for row in range(12)]]),
    "deep chain": chain(24, 3),
    "comb": ([-1, *[value for turn in range(8) for value in (max(0, 2 * turn - 1), max(0, 2 * turn - 1))]], [4] * 17),
    "ragged": ([-1, 0, 0, 1, 1, 2, 5, 6, 6, 4], [7, 3, 1, 4, 2, 5, 0, 3, 2, 6]),
    "forest": ([-1, -1, 0, 1, 0, 3, 3, -1, 7, 2], [4, 6, 3, 2, 5, 1, 4, 2, 3, 2]),
    "full tree": ([-1, *[(row - 1) // 3 for row in range(1, 40)]], [3] * 40),
}
"""Parents and lengths. "ragged" has a row without tokens in the middle of a path."""


def separate_paths(model: Any, forest: Forest, temperature: float = 1.0) -> Tensor:
    """Log-probability of every token of the forest, 0 where the policy did not choose it; one pass per row."""
    tokens, roles, found = forest.ragged("tokens.id"), forest.ragged("tokens.role"), []
    for row in range(len(forest)):
        own = len(tokens[row])
        chosen = roles[row] == int(Role.POLICY)
        if not bool(chosen.any()):
            found.append(torch.zeros(own))
            continue
        path = torch.cat([tokens[one] for one in forest.path(row).tolist()]).long()
        logits = model(input_ids=path.unsqueeze(0), use_cache=False).logits[0, -own - 1 : -1].float() / temperature
        value = logits.log_softmax(-1).gather(1, path[-own:].unsqueeze(1)).squeeze(1)
        found.append(value.where(chosen, 0))
    return torch.cat(found)


def gradients(model: Any) -> dict[str, Tensor]:
    """Gradients by name, and none left behind."""
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    return found


def furthest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest relative distance of a gradient."""
    assert found.keys() == expected.keys()
    return max(float((found[name] - expected[name]).norm() / expected[name].norm().clamp(1e-9)) for name in expected)
