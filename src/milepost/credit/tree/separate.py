"""A forest as separate trajectories: every path a tree of its own, with the credit of its own leaf on all its steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from milepost import segments
from milepost.columns import Origin, Role
from milepost.forest import Forest
from milepost.forest_values import take
from milepost.ragged import gather_index


def inserted_rows(forest: Forest) -> Bool[Tensor, " n"]:
    """Rows that nobody's policy wrote.

    Args:
        forest: any forest; without `origin` it has none.

    Returns:
        One truth value per row.
    """
    if "origin" not in forest:
        return torch.zeros(len(forest), dtype=torch.bool)
    return (forest["origin"] == int(Origin.INSERTED)) & forest.valid("origin")


def rebuilt(forest: Forest, rows: Int[Tensor, " k"], parent: Int[Tensor, " k"]) -> Forest:
    """Rows of a forest below other parents, some of them left out or repeated.

    Args:
        forest: where the rows come from.
        rows: their numbers.
        parent: for each its new parent as a place in `rows`, -1 for a root.

    Returns:
        The forest of these rows, with all their columns.
    """
    index, offsets = (rows, None) if forest.token_offsets is None else gather_index(forest.token_offsets, rows)
    which = {name: index if name.startswith("tokens.") else rows for name in forest.columns}
    columns = {name: take(value, which[name]) for name, value in forest.columns.items()}
    validity = {name: valid[which[name]] for name, valid in forest.validity.items()}
    return Forest(parent, columns, validity, offsets)


def separate(forest: Forest) -> Forest:
    """Repeat what trajectories share, so that every trajectory is a chain of its own with its own credit.

    Args:
        forest: with `advantage` on its leaves.

    Returns:
        One root per leaf; every step has the credit of its leaf.
    """
    leaf = forest.leaves()
    leaf = leaf[forest.parent[leaf] >= 0]
    paths = forest.paths(leaf)
    place = torch.arange(len(paths.values))
    first = place == paths.offsets[:-1][paths.row]
    chains = rebuilt(forest, paths.values, torch.where(first, -1, place - 1))
    own, valid = forest["advantage"][leaf][paths.row], forest.valid("advantage")[leaf][paths.row]
    chains = chains.with_columns({"advantage": torch.where(valid & ~first, own, 0)})
    return chains.with_valid("advantage", valid & ~first)


def as_its_own(forest: Forest) -> Forest:
    """Hand the trained part of inserted text to the policy, so that it is asked how likely it would have written it.

    Args:
        forest: with tokens.

    Returns:
        The forest in which trained tokens of role INSERTED have the role POLICY.
    """
    role = forest["tokens.role"]
    mine = (role == int(Role.INSERTED)) & forest["tokens.train"]
    return forest.with_columns({"tokens.role": role.masked_fill(mine, int(Role.POLICY))})


@dataclass(frozen=True, kw_only=True)
class Separate:
    """View of a forest with inserted text as separate trajectories; a forest without any is trained as it is.

    Implements `recipe.View`. The clip of a surrogate is then applied to each trajectory's own credit, also on shared
    steps, at the price of computing them once per trajectory.

    Example:
        >>> forest = Forest.of([-1, 0, 0], {"advantage": [None, 1.0, -1.0]})
        >>> Separate()(forest) is forest
        True
    """

    def __call__(self, forest: Forest) -> Forest:
        """The forest to train on."""
        return as_its_own(separate(forest)) if bool(inserted_rows(forest).any()) else forest


def branched(forest: Forest) -> Bool[Tensor, " n"]:
    """Rows that lie at or below an inserted one.

    Args:
        forest: any forest.

    Returns:
        One truth value per row.
    """
    return segments.path_sum(inserted_rows(forest).long(), forest.parent) > 0
