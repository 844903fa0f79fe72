"""CaRL's reward: progress along a route, times what soft penalties leave of it, until the first hard infraction.

All of it is computed on the path of a step, from facts that the environment wrote, so that it holds on branches too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards.control.episodes import column, every

PERCENT = 100.0


def furthest(value: Float[Tensor, " n"], parent: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Largest value from the root down to each row.

        furthest_i = max(value_i, furthest_{parent_i})

    Args:
        value: one number per row.
        parent: row of the step before, -1 for a root.

    Returns:
        One number per row, never falling along a path. Pointer doubling: O(n log depth).

    Source: the running maximum that CaRL takes of the progress along a route.
    """
    link = torch.where(parent >= 0, parent, torch.arange(len(parent)))
    while True:
        value, further = torch.maximum(value, value.index_select(0, link)), link.index_select(0, link)
        if torch.equal(further, link):
            return value
        link = further


def completion(
    travelled: Float[Tensor, " n"], parent: Int[Tensor, " n"], *, length: float | Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Route completion: the furthest point reached so far, in percent of the route.

        RC_i = 100 clip(max over the path to i of travelled / length, 0, 1)

    Args:
        travelled: distance from the start, one per row; it may fall.
        parent: row of the step before, -1 for a root.
        length: of the route, above 0, in the same unit; one for all, or one per row.

    Returns:
        In [0, 100], never falling along a path.

    Source: CaRL, arXiv:2504.17838, section 3.
    """
    return PERCENT * furthest((travelled / length).clamp(0, 1), parent)


def completed(forest: Forest, length_m: float) -> Float[Tensor, " n"]:
    """`completion` of every row of a forest, in percent of the route that the environment tells of.

    Args:
        forest: with `extra.travelled_m`; `extra.route_m` is the length of the route.
        length_m: of the route, where the environment does not tell.

    Returns:
        In [0, 100].
    """
    return completion(
        column(forest, "extra.travelled_m"), forest.parent, length=said(forest, "extra.route_m", length_m)
    )


def said(forest: Forest, name: str, usual: float) -> Float[Tensor, " n"]:
    """What the environment says of its task, row by row, and a usual value where it says nothing.

    Args:
        forest: may lack the column.
        name: of a column of numbers above 0.
        usual: taken where there is none.

    Returns:
        One number per row, above 0.
    """
    if name not in forest:
        return torch.full((len(forest),), usual, dtype=torch.float64)
    told = column(forest, name)
    return torch.where(told > 0, told, usual)


def held(violated: Bool[Tensor, " n"], parent: Int[Tensor, " n"], *, steps: int) -> Bool[Tensor, " n"]:
    """Where a sticky penalty applies: at a violation and for some steps after it.

        held_i = a row violated at or above i, at most `steps` steps before it

    Args:
        violated: one truth value per row.
        parent: row of the step before, -1 for a root.
        steps: how long it sticks; 0 is the violation alone.

    Returns:
        One truth value per row.

    Source: CaRL, arXiv:2504.17838: factors that apply for 500 simulator steps.
    """
    last, depth = segments.nearest(parent, violated), segments.depth(parent)
    return (last >= 0) & (depth - depth[last.clamp(min=0)] <= steps)


def lasting(violated: Bool[Tensor, " n"], parent: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Net time of a violation: up by one where it is, down by one where it is not, never below 0.

        c_i = max(0, c_{parent_i} + 1) if violated_i else max(0, c_{parent_i} - 1)

    Args:
        violated: one truth value per row.
        parent: row of the step before, -1 for a root.

    Returns:
        Steps; 0 at a root without a violation.

    Source: CaRL's lane-centre term, later version. On a path it is a walk less its lowest point below 0.
    """
    walk = torch.where(violated, 1.0, -1.0).where((parent >= 0) | violated, 0)
    total = segments.path_sum(walk, parent)
    return (total + furthest((-total).clamp(min=0), parent)).long()


def speeding(speed: Float[Tensor, " n"], *, limit: float) -> Float[Tensor, " n"]:
    """Factor for driving too fast: nothing is left of progress at 2.23 m/s above the limit.

        1 where v <= limit,   max(0, 1 - (v - limit) / 2.23) beyond

    Args:
        speed: in m/s.
        limit: in m/s.

    Returns:
        In [0, 1].

    Source: CaRL, arXiv:2504.17838.
    """
    return (1 - (speed - limit).clamp(min=0) / 2.23).clamp(min=0)


class Factor(Protocol):
    """A soft penalty: what is left of a step's progress."""

    def __call__(self, forest: Forest) -> Float[Tensor, " n"]:
        """One number in [0, 1] per row."""
        ...


@dataclass(frozen=True, kw_only=True)
class Speeding:
    """Progress made too fast counts less."""

    limit_m_s: float = 30.0

    def __post_init__(self) -> None:
        """Check the limit."""
        checks.positive("limit_m_s", self.limit_m_s)

    def __call__(self, forest: Forest) -> Float[Tensor, " n"]:
        """`speeding` of the car."""
        return speeding(column(forest, "extra.speed_m_s"), limit=self.limit_m_s)


@dataclass(frozen=True, kw_only=True)
class NearCollision:
    """Progress counts less for a while after the car ahead came too near."""

    least_s: float = 0.9
    """Time to a collision below which it is too near."""
    factor: float = 0.5
    steps: int = 25
    """How long it sticks."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("least_s", self.least_s)
        checks.within("factor", self.factor, 0.0, 1.0)
        checks.at_least("steps", self.steps, 0)

    def __call__(self, forest: Forest) -> Float[Tensor, " n"]:
        """`factor` where it sticks, else 1."""
        near = (column(forest, "extra.collision_s") < self.least_s) & (forest.parent >= 0)
        return torch.where(held(near, forest.parent, steps=self.steps), self.factor, 1.0).double()


@dataclass(frozen=True, kw_only=True)
class OffCentre:
    """Progress counts less once the car was far from the middle of its lane for longer than a lane change takes."""

    most_m: float = 0.5
    after_steps: int = 3
    factor: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("most_m", self.most_m)
        checks.at_least("after_steps", self.after_steps, 0)
        checks.within("factor", self.factor, 0.0, 1.0)

    def __call__(self, forest: Forest) -> Float[Tensor, " n"]:
        """`factor` where it lasted, else 1."""
        far = (column(forest, "extra.lateral_m") > self.most_m) & (forest.parent >= 0)
        return torch.where(lasting(far, forest.parent) > self.after_steps, self.factor, 1.0).double()


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Gain in route completion, times the soft factors, and a hint where the episode ends by a hard infraction.

        r_i = p_i (RC_i - RC_{parent_i}) + h_i,   p the product of the factors, h = -1 at a crash or off the road

    Implements `part.Reward`. Without infractions the rewards of an episode add up to its route completion, at most 100.

    Source: CaRL, arXiv:2504.17838, section 3; the mapping to highway-env is this package's.
    """

    length_m: float = 1000.0
    """Of the route, where the environment does not tell (`extra.route_m`)."""
    factors: tuple[Factor, ...] = (Speeding(), NearCollision(), OffCentre())
    hint: float = -1.0
    """Added where an episode ends by a hard infraction; at most 0."""
    name: str = "progress"
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("length_m", self.length_m)
        checks.non_negative("-hint", -self.hint)

    @property
    def range(self) -> tuple[float, float]:
        """The hint, and the whole route in one step."""
        return (self.hint, PERCENT)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Rewards of the rows."""
        done = completed(forest, self.length_m)
        before = done.index_select(0, forest.parent.clamp(min=0))
        left = torch.ones_like(done)
        for factor in self.factors:
            left = left * factor(forest)
        return every((left * (done - before) + self.hint * infraction(forest))[rows])


def infraction(forest: Forest) -> Float[Tensor, " n"]:
    """1 where an episode ends by a hard infraction, a crash or the edge of the road, else 0."""
    return torch.maximum(column(forest, "extra.crashed"), column(forest, "extra.off_road"))


@dataclass(frozen=True, kw_only=True)
class Completed:
    """Route completion of an episode, in [0, 1]. Implements `part.Reward`.

    Source: CaRL, arXiv:2504.17838.
    """

    length_m: float = 1000.0
    name: str = "completion"
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the length."""
        checks.positive("length_m", self.length_m)

    @property
    def range(self) -> tuple[float, float]:
        """A share."""
        return (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Completion at the rows."""
        done = completed(forest, self.length_m)
        return every(done[rows] / PERCENT)


@dataclass(frozen=True, kw_only=True)
class Infraction:
    """1 if the episode ended by a hard infraction, else 0. Implements `part.Reward`."""

    name: str = "infraction"
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    @property
    def range(self) -> tuple[float, float]:
        """0 and 1."""
        return (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Ends of the rows."""
        return every(infraction(forest)[rows])


@dataclass(frozen=True, kw_only=True)
class Shaped:
    """The rival: a weighted sum in which every step pays, whatever it leads to. Implements `part.Reward`.

        r = (5 progress + 5 [far from a collision] + 4 speeding factor + 2 [in the lane]) / 16 / steps

    Progress is that of the step, in units of the mean progress that the whole route asks for, at most 1.

    Source: CaRL's comparison, the weighted sum of nuPlan's score, arXiv:2504.17838.
    """

    length_m: float = 1000.0
    steps: int = 40
    """Longest episode, where the environment does not tell (`extra.route_steps`): what a step pays is divided by it."""
    name: str = "shaped"
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.positive("length_m", self.length_m)
        checks.at_least("steps", self.steps, 1)

    @property
    def range(self) -> tuple[float, float]:
        """Nothing, and a step's full share."""
        return (0.0, 1.0)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Rewards of the rows."""
        most = said(forest, "extra.route_steps", self.steps)
        done = completed(forest, self.length_m)
        gain = (done - done.index_select(0, forest.parent.clamp(min=0))) * most / PERCENT
        far = (column(forest, "extra.collision_s") >= 0.9).double()
        lane = (column(forest, "extra.lateral_m") <= 0.5).double()
        fine = speeding(column(forest, "extra.speed_m_s"), limit=30.0)
        total = (5 * gain.clamp(max=1) + 5 * far + 4 * fine + 2 * lane) / 16 / most
        return every(total[rows])
