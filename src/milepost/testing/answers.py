"""Flat forests of scored answers: the smallest input of a credit rule."""

from __future__ import annotations

from collections.abc import Sequence

from milepost.forest import Forest, Given

Groups = Sequence[Sequence[float | None]]
"""One sequence of rewards per task; None: the reward failed."""


def scored(total: Groups, *, families: Sequence[str] = (), **others: Groups) -> Forest:
    """Build a batch of answers of one turn, without text: one root per group, one leaf per reward.

    Args:
        total: total reward of every answer.
        families: task family of every group, if there are any.
        others: further rewards by name, in the same layout.

    Returns:
        Roots first, then the answers in the order given, with `reward.*`, `ok.*` and `reason.*`.

    Example:
        >>> scored([[1.0, 0.0], [0.5, None]])["reward.total"][2:].tolist()
        [1.0, 0.0, 0.5, 0.0]
    """
    sizes = [len(group) for group in total]
    roots: list[object] = [None] * len(sizes)
    columns: dict[str, Given] = {}
    for name, rewards in {"total": total, **others}.items():
        values: list[object] = [value for group in rewards for value in group]
        columns[f"reward.{name}"] = roots + values
        columns[f"ok.{name}"] = [False] * len(roots) + [value is not None for value in values]
        columns[f"reason.{name}"] = roots + ["reward_error" if value is None else None for value in values]
    if families:
        columns["label.family"] = [*families, *([None] * sum(sizes))]
    return Forest.of([-1] * len(sizes) + [root for root, size in enumerate(sizes) for _ in range(size)], columns)


def solved(groups: Groups, *, families: Sequence[str] = ()) -> Forest:
    """Build a batch of answers whose total reward is their accuracy, `reward.solved`.

    Args:
        groups: 1 or 0 for every answer, None where scoring failed.
        families: task family of every group, if there are any.

    Returns:
        As `scored`.
    """
    return scored(groups, families=families, solved=groups)


def answers_credit(forest: Forest) -> list[float]:
    """Credit of the rows that are not roots.

    Args:
        forest: with `advantage`.

    Returns:
        One number per row, in order.
    """
    return [float(credit) for credit in forest["advantage"][forest.parent >= 0]]
