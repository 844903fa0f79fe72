"""A sampler as a seeker: by the name of a task to a tree of its trajectories, what is drawn of them, and the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from milepost import checks
from milepost.columns import End
from milepost.errors import unknown_name
from milepost.forest import Forest
from milepost.part import Policy, Sampler, Task, TaskEnvironment
from milepost.recipe import Found
from milepost.sampling.branching.hooks import Scorer
from milepost.sampling.frontier import Draw, grow
from milepost.sampling.search_tree.drawing import Shares, draw


class Loader(Protocol):
    """Makes the policy; called once for a search, so that a recipe is built without loading a model."""

    def __call__(self) -> Policy:
        """The policy."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grows:
    """Grows a tree for the task of a family, scores its leaves, and draws some of them. Implements `recipe.Seeker`.

    The cost of a search is minus the highest reward of its leaves, over the model calls made until then.

    Example:
        >>> Grows.__name__
        'Grows'
    """

    policy: Loader
    environment: TaskEnvironment
    sampler: Sampler
    scorer: Scorer
    """Scores leaves that the sampler did not."""
    shares: Shares
    """Chance of each leaf to be drawn."""
    drawn: int = 12
    """Leaves that are drawn, with repeats."""

    def __post_init__(self) -> None:
        """Check the number."""
        checks.at_least("drawn", self.drawn, 1)

    def __call__(self, task: str, key: int) -> Found:
        """Search for one task, named by its family."""
        chosen = Draw(task=self._task(task))
        forest = grow([chosen], policy=self.policy(), environment=self.environment, sampler=self.sampler, key=key)
        forest = self.scorer(forest, forest.leaves())
        share = self.shares(forest)
        best = progress(forest)
        own = draw(forest, share, self.drawn, "draw").squeeze(0)
        return Found(
            forest=forest.with_columns({"weight": share.float()}),
            cost=best[-1][1] if best else math.inf,
            progress=best,
            scene={"prompt": chosen.task.record.get("prompt", task), **scene(forest, share, own)},
        )

    def _task(self, name: str) -> Task:
        families(self.environment, (name,))
        return next(task for task in self.environment.train() if task.family == name)


def families(environment: TaskEnvironment, names: tuple[str, ...]) -> tuple[str, ...]:
    """The named families of tasks, once it is known that the environment has each of them.

    Args:
        environment: with the tasks.
        names: of families.

    Returns:
        `names`.

    Raises:
        UnknownName: there is no such family.
    """
    known = dict.fromkeys(task.family for task in environment.train())
    for name in names:
        if name not in known:
            raise unknown_name("family of tasks", name, known)
    return names


def spent(forest: Forest) -> Tensor:
    """Model calls made until each row was grown, that row's included; float64."""
    if "cost.model_calls" not in forest:
        return torch.zeros(len(forest), dtype=torch.float64)
    return torch.where(forest.valid("cost.model_calls"), forest["cost.model_calls"], 0).cumsum(0)


def progress(forest: Forest) -> tuple[tuple[int, float], ...]:
    """Minus the highest reward of the leaves, each time it fell, by the model calls made until then.

    Args:
        forest: one tree whose leaves are scored.

    Returns:
        Calls and cost, falling in cost.
    """
    calls, best, found = spent(forest), math.inf, list[tuple[int, float]]()
    counted = _finished(forest)
    for row in counted.nonzero().squeeze(1).tolist():
        if (cost := -float(forest["reward.total"][row])) < best:
            best = cost
            found.append((int(calls[row]), best))
    return tuple(found)


def scene(forest: Forest, share: Tensor, drawn: Tensor) -> dict[str, Any]:
    """What a report says of a search.

    Args:
        forest: one tree.
        share: chance of each row to be drawn.
        drawn: rows that were.

    Returns:
        JSON: `leaves`, `calls`, `effective` (leaves that draws are worth: 1 / sum of squared chances), `drawn` (rows),
        `rewards` (mean of every reward under the chances), `plain` (the same over all leaves alike).
    """
    leaf = _finished(forest).nonzero().squeeze(1)
    weight = share[leaf] / share[leaf].sum().clamp(min=1e-300)
    calls = spent(forest)
    return {
        "leaves": len(leaf),
        "calls": float(calls[-1]) if len(calls) else 0.0,
        "effective": float(1 / weight.square().sum()) if len(leaf) else 0.0,
        "drawn": [row for row in drawn.tolist() if row >= 0],
        "rewards": _means(forest, leaf, weight),
        "plain": _means(forest, leaf, torch.full_like(weight, 1 / max(len(leaf), 1))),
    }


def _finished(forest: Forest) -> Tensor:
    """Rows at which a trajectory came to its end and has a reward."""
    ended = (forest["end"] != int(End.OPEN)) & (forest["end"] != int(End.PRUNED))
    return ended & forest["ok.total"] & forest.valid("reward.total")


def _means(forest: Forest, leaf: Tensor, weight: Tensor) -> Mapping[str, float]:
    names = [name.removeprefix("reward.") for name in forest.names if name.startswith("reward.")]
    known = {name: forest[f"reward.{name}"][leaf].double().nan_to_num() for name in names if name != "total"}
    return {name: float((weight * value).sum()) for name, value in known.items()}
