"""A planner's tree as a forest: a step is an edge, a trajectory a path, the reward minus an edge's length."""

from __future__ import annotations

import torch

from milepost.columns import End, Origin
from milepost.forest import Forest
from milepost.planning.planner import Plan


def order(parent: torch.Tensor) -> torch.Tensor:
    """Rows of a tree so that every parent comes before its children, siblings in the order in which they came.

    Args:
        parent: row of each vertex's parent, -1 for the root; it may come later than its child.

    Returns:
        A permutation of the rows, by depth.
    """
    depth = torch.zeros_like(parent)
    above = parent.clone()
    while bool((above >= 0).any()):
        depth += above >= 0
        above = torch.where(above >= 0, parent[above.clamp(min=0)], -1)
    return torch.argsort(depth, stable=True)


def forest_of(plan: Plan) -> Forest:
    """Turn a plan's tree into a forest.

    Args:
        plan: what a planner came to.

    Returns:
        One row per vertex, with `observation` (the state), `reward.length` (minus the length of the edge to it; the
        root has none), `value` (minus the distance that is still to go), `end` (TERMINATED at the goal, BUDGET at other
        leaves) and `task`.
    """
    rows = order(plan.parent)
    place = torch.empty_like(rows)
    place[rows] = torch.arange(len(rows))
    old = plan.parent[rows]
    parent = torch.where(old >= 0, place[old.clamp(min=0)], -1)
    length = plan.costs[rows] - torch.where(old >= 0, plan.costs[old.clamp(min=0)], plan.costs[rows])
    goal = torch.tensor(plan.problem.goal, dtype=plan.states.dtype)
    leaf = torch.ones(len(rows), dtype=torch.bool)
    leaf[parent[parent >= 0]] = False
    end = torch.where(leaf, int(End.BUDGET), int(End.OPEN))
    if plan.goal >= 0:
        end[place[plan.goal]] = int(End.TERMINATED)
    scored = parent >= 0
    forest = Forest.of(
        parent,
        {
            "task": [plan.problem.name] * len(rows),
            "origin": torch.full((len(rows),), int(Origin.ENVIRONMENT), dtype=torch.int8),
            "observation": plan.states[rows].float(),
            "end": end.to(torch.int8),
            "reward.length": torch.where(scored, -length, 0).float(),
            "ok.length": scored,
            "value": -(plan.states[rows] - goal).norm(dim=1).float(),
        },
    )
    return forest.with_valid("reward.length", scored)
