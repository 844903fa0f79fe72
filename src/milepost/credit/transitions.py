"""Single steps in place of whole episodes: what an update with small minibatches trains on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from milepost.credit.tree.separate import rebuilt
from milepost.forest import Forest


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """Every step below a copy of the step before it, as a tree of its own. Implements `recipe.View`.

    Minibatches hold whole trees; with this view they are shuffled steps, not episodes of steps that are alike.
    Steps without credit are left out.

    Example:
        >>> steps = {"observation": torch.eye(3), "advantage": [None, 1.0, -1.0]}
        >>> Transitions()(Forest.of([-1, 0, 1], steps)).parent.tolist()
        [-1, 0, -1, 2]
    """

    def __call__(self, forest: Forest) -> Forest:
        """Two rows per step that has credit."""
        rows = ((forest.parent >= 0) & forest.valid("advantage")).nonzero().squeeze(1)
        pairs = torch.stack((forest.parent[rows], rows), 1).flatten()
        place = torch.arange(len(pairs))
        found = rebuilt(forest, pairs, torch.where(place % 2 == 1, place - 1, -1))
        own = torch.where(place % 2 == 1, found["advantage"], 0)
        return found.with_columns({"advantage": own}).with_valid("advantage", place % 2 == 1)
