"""The planner as a seeker: by the name of a problem to a tree, its best path, and how that came about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from milepost import checks
from milepost.planning.planner import Plan, RRTStar
from milepost.planning.problems import problem
from milepost.planning.trees import forest_of
from milepost.recipe import Found


def scene_of(plan: Plan) -> dict[str, Any]:
    """What a report needs to draw a plan.

    Args:
        plan: what a planner came to.

    Returns:
        JSON: `low`, `high`, `start`, `goal`, `boxes`, `links`, `discs`, `least`, and `path` (states).
    """
    task = plan.problem
    return {
        "low": list(task.low),
        "high": list(task.high),
        "start": list(task.start),
        "goal": list(task.goal),
        "boxes": [[list(corner) for corner in box] for box in task.boxes],
        "links": list(task.links),
        "discs": [list(disc) for disc in task.discs],
        "least": task.least,
        "path": plan.path.tolist(),
    }


@dataclass(frozen=True, kw_only=True)
class Plans:
    """Plans for problems by their names, within a number of iterations. Implements `recipe.Seeker`."""

    planner: RRTStar = field(default_factory=RRTStar)
    iterations: int = 20_000

    def __post_init__(self) -> None:
        """Check the budget."""
        checks.at_least("iterations", self.iterations, 1)

    def __call__(self, task: str, key: int) -> Found:
        """Plan one problem."""
        plan = self.planner.plan(problem(task), key=key, iterations=self.iterations)
        known = tuple((note.iterations, note.cost) for note in plan.progress if math.isfinite(note.cost))
        return Found(forest=forest_of(plan), cost=plan.cost, progress=known, scene=scene_of(plan))
