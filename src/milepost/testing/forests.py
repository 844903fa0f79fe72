"""Forests to check parts with: groups of every kind, failed rows, and rows that change places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from milepost import keys
from milepost.columns import End, Role
from milepost.forest import Forest, Given
from milepost.forest_values import take
from milepost.ragged import Ragged, gather_index

GROUPS = (
    (0.0, 1.0, 1.0, 0.25),
    (0.5,),
    (0.3, 0.3, 0.3),
    (None, 1.0, 0.0, None, 0.1, 0.7),
    (None, None),
    (1.0, 0.0),
    (None, 0.25),
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
)
"""Rewards of each task: mixed, lone, constant, partly failed, all failed, a pair, lone among failed, large."""


def batch(
    names: Sequence[str] = ("total",), *, groups: Sequence[Sequence[float | None]] = GROUPS, key: int = 0
) -> Forest:
    """A flat batch as the loop makes it: prompts and answers with tokens, rewards, costs.

    Args:
        names: rewards by name; all have the same values, which are NaN where they failed.
        groups: rewards of the answers of each task, None where the reward failed.
        key: decides texts, tokens and log-probabilities.

    Returns:
        Roots first, then the answers of each task.
    """
    roots, sizes = len(groups), [len(group) for group in groups]
    values = [value for group in groups for value in group]
    rows = roots + len(values)
    draws = keys.generator(keys.fold(key, "batch"))
    lengths = draws.integers(1, 7, rows).tolist()
    role = [int(Role.PROMPT)] * sum(lengths[:roots]) + [int(Role.POLICY)] * sum(lengths[roots:])
    ids = Ragged.of([draws.integers(0, 50, length).tolist() for length in lengths], torch.int32)
    chosen = torch.tensor(role) == int(Role.POLICY)
    log_prob = torch.from_numpy(-draws.exponential(size=len(role))).float().where(chosen, 0)
    columns: dict[str, Given] = {
        "task": [f"task:{root}" for root in range(roots)] + [None] * len(values),
        "label.family": [f"family:{root % 2}" for root in range(roots)] + [None] * len(values),
        "record": ["{}"] * roots + [None] * len(values),
        "draw": [0] * roots + [None] * len(values),
        "key": draws.integers(-(2**62), 2**62, rows).tolist(),
        "origin": [4] * roots + [0] * len(values),
        "policy_version": [3] * rows,
        "end": [int(End.OPEN)] * roots + [int(End.TERMINATED)] * len(values),
        "discount": [1.0] * roots + [0.0] * len(values),
        "text": [None] * roots + [f"answer {place}" for place in range(len(values))],
        "tokens.id": ids,
        "tokens.role": Ragged(torch.tensor(role, dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(chosen, ids.offsets),
        "tokens.log_prob": Ragged(log_prob, ids.offsets),
        "cost.tokens": [0.0] * roots + [float(length) for length in lengths[roots:]],
        "feature.gradient": _directions(rows, key),
        **_rewards(names, [None] * roots, values),
    }
    parent = [-1] * roots + [root for root, size in enumerate(sizes) for _ in range(size)]
    return Forest.of(parent, columns).with_valid("tokens.log_prob", chosen)


def _directions(rows: int, key: int) -> Tensor:
    return torch.from_numpy(keys.normal([keys.fold(key, "directions")], (rows, 4))[0]).float()


def _rewards(names: Sequence[str], none: list[None], values: Sequence[float | None]) -> dict[str, Given]:
    columns: dict[str, Given] = {}
    for name in names:
        columns[f"ok.{name}"] = [False] * len(none) + [value is not None for value in values]
        columns[f"reward.{name}"] = torch.tensor(
            [torch.nan] * len(none) + [torch.nan if value is None else value for value in values], dtype=torch.float32
        )
        columns[f"reason.{name}"] = [*none, *("reward_error" if value is None else None for value in values)]
    return columns


def tree(names: Sequence[str] = ("total",), *, rows: int = 40, roots: int = 3, key: int = 0) -> Forest:
    """A tree of random shape whose leaves are scored: forks, chains and lone rows at every depth.

    Args:
        names: rewards by name; leaves only, one in six failed with NaN.
        rows: number of rows.
        roots: number of roots.
        key: decides everything.

    Returns:
        The forest.
    """
    draws = keys.generator(keys.fold(key, "tree"))
    parent = [-1] * roots + [int(draws.integers(max(0, row - 9), row)) for row in range(roots, rows)]
    leaf = ~np.isin(np.arange(rows), parent)
    fine = leaf & (draws.random(rows) > 1 / 6)
    values = [float(np.round(draws.random(), 1)) if ok else None for ok in fine]
    columns: dict[str, Given] = {
        "task": [f"task:{row}" if above < 0 else None for row, above in enumerate(parent)],
        "end": [int(End.TERMINATED) if end else int(End.OPEN) for end in leaf],
        "discount": [0.0 if end else 1.0 for end in leaf],
        "feature.gradient": _directions(rows, key),
        **_rewards(names, [], values),
    }
    forest = Forest.of(parent, columns)
    reasons = ["reward_error" if end and not ok else None for end, ok in zip(leaf, fine, strict=True)]
    return forest.with_columns({f"reason.{name}": reasons for name in names})


def reordered(forest: Forest, order: Int[Tensor, " n"]) -> Forest:
    """The same forest with its rows in another order.

    Args:
        forest: any forest.
        order: old row number of each new row; every parent still comes before its children.

    Returns:
        The forest, row i being row `order[i]` of the old one.
    """
    place = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order)))
    above = forest.parent[order]
    parent = torch.where(above >= 0, place[above.clamp(min=0)], -1)
    index, offsets = (order, None) if forest.token_offsets is None else gather_index(forest.token_offsets, order)
    which = {name: index if name.startswith("tokens.") else order for name in forest.columns}
    columns = {name: take(value, which[name]) for name, value in forest.columns.items()}
    validity = {name: valid[which[name]] for name, valid in forest.validity.items()}
    return Forest(parent, columns, validity, offsets)


def shuffle(forest: Forest, key: int) -> Int[Tensor, " n"]:
    """An order of the rows, drawn from the key, in which every parent comes before its children.

    Args:
        forest: any forest.
        key: decides the order.

    Returns:
        Old row numbers, fit for `reordered`.
    """
    chance = torch.from_numpy(keys.generator(keys.fold(key, "shuffle")).random(len(forest)))
    return torch.from_numpy(np.lexsort((chance.numpy(), forest.depth().numpy())))


def difference(one: Forest, other: Forest, *, names: Sequence[str] | None = None) -> str | None:
    """First place at which two forests differ in structure, types, validity or valid values; NaN equals NaN.

    Args:
        one: a forest.
        other: a forest.
        names: columns to compare; default all.

    Returns:
        A sentence, or None when they agree to the bit.
    """
    if not torch.equal(one.parent, other.parent):
        return "the parents differ"
    wanted = sorted({*one.columns, *other.columns}) if names is None else names
    for name in wanted:
        if (name in one) != (name in other):
            return f"column {name!r} is in one of them only"
        if name != "parent" and (found := _differs(one, other, name)):
            return f"column {name!r} {found}"
    ends = [forest.token_offsets for forest in (one, other)] if any(n.startswith("tokens.") for n in wanted) else []
    return "the token offsets differ" if ends and not torch.equal(*[e for e in ends if e is not None]) else None


def _differs(one: Forest, other: Forest, name: str) -> str | None:
    mine, theirs = one.columns[name], other.columns[name]
    if not isinstance(mine, Tensor) or not isinstance(theirs, Tensor):
        return None if one.text(name) == other.text(name) else "holds other texts"
    if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        return f"is {mine.dtype} {tuple(mine.shape)} in one, {theirs.dtype} {tuple(theirs.shape)} in the other"
    valid = one.valid(name)
    if not torch.equal(valid, other.valid(name)):
        return "is valid in other places"
    mine, theirs = mine[valid], theirs[valid]
    same = (mine == theirs) | ((mine != mine) & (theirs != theirs))
    return None if bool(same.all()) else f"has other values, first at valid entry {int((~same).nonzero()[0, 0])}"
