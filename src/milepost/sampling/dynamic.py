"""Dynamic sampling (DAPO): groups whose scores do not differ are left out and replaced by newly drawn tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from milepost import checks
from milepost.forest import Forest
from milepost.sampling.tracker import dead_groups, scored_groups


@dataclass(frozen=True, kw_only=True, eq=False)
class Sorted:
    """A forest parted into the trees of groups that can be learned from and of those that cannot."""

    live: Forest
    dead: Forest
    live_groups: int
    dead_groups: int


def part_dead(forest: Forest, *, reward: str) -> Sorted:
    """Part a scored forest into live and dead groups.

    A group is dead when its ok scores are all exactly equal, or when there are fewer than two.

    Args:
        forest: the scored forest.
        reward: name of the reward whose differences count.

    Returns:
        Both parts, each with whole trees in their old order.

    Raises:
        ColumnError: the forest lacks the task or the reward.
    """
    found = scored_groups(forest, reward)
    dead = dead_groups(found.score, found.group, len(found), found.ok)
    row = _of_rows(forest, found.rows, found.group, dead)
    count = int(dead.sum())
    return Sorted(
        live=forest.select((~row).nonzero().squeeze(1)),
        dead=forest.select(row.nonzero().squeeze(1)),
        live_groups=len(found) - count,
        dead_groups=count,
    )


def _of_rows(
    forest: Forest, leaves: Int[Tensor, " k"], group: Int[Tensor, " k"], dead: Bool[Tensor, " g"]
) -> Bool[Tensor, " n"]:
    """Whether each row belongs to a dead group; a root without trajectories does."""
    lost = torch.ones(len(forest), dtype=torch.bool)
    above = forest.root_of()
    lost[above[leaves]] = dead[group]
    return lost[above]


@dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """State of one batch that is being filled."""

    kept: Forest
    """Trees to train on."""
    dropped: Forest
    """Trees of dead groups: not trained on, but paid for."""
    kept_groups: int
    dropped_groups: int
    wanted: int
    """Groups the batch should hold."""
    asked: int
    """How many times groups were drawn."""


@dataclass(frozen=True, kw_only=True)
class DynamicSampling:
    """Fill a batch with groups that can be learned from: drop dead ones and draw replacements, at most `rounds` times.

    With no rounds nothing is dropped. When the rounds are used up, the batch holds fewer groups than wanted, possibly
    none: dead groups are never put back, because under a KL term they still pull towards the reference.

    Show every grown forest to the task choice before it is parted: pass rates that leave out dead groups are biased
    towards 1/2.

    Source: DAPO, arXiv:2503.14476, section 3.2 (which draws until the batch is full).

    Example:
        >>> rule = DynamicSampling(rounds=2)
        >>> rule.ask(rule.begin(8))
        8
    """

    reads = ("reward.*", "ok.*")
    rounds: int = 0
    reward: str = "total"
    """Reward whose differences count."""

    def __post_init__(self) -> None:
        """Check the number of rounds."""
        checks.at_least("rounds", self.rounds, 0)

    def begin(self, wanted: int) -> Resampled:
        """State of an empty batch that should hold `wanted` groups."""
        empty = Forest.of([])
        return Resampled(kept=empty, dropped=empty, kept_groups=0, dropped_groups=0, wanted=wanted, asked=0)

    def ask(self, state: Resampled) -> int:
        """How many groups to draw and roll out next; 0 when the batch is done."""
        if state.asked > self.rounds:
            return 0
        return max(state.wanted - state.kept_groups, 0)

    def tell(self, state: Resampled, forest: Forest) -> Resampled:
        """Take in what was rolled out and scored."""
        parted = part_dead(forest, reward=self.reward)
        if self.rounds == 0:
            groups = parted.live_groups + parted.dead_groups
            return replace(state, kept=forest, kept_groups=groups, asked=1)
        return Resampled(
            kept=Forest.concatenate([state.kept, parted.live]) if state.asked else parted.live,
            dropped=Forest.concatenate([state.dropped, parted.dead]) if state.asked else parted.dead,
            kept_groups=state.kept_groups + parted.live_groups,
            dropped_groups=state.dropped_groups + parted.dead_groups,
            wanted=state.wanted,
            asked=state.asked + 1,
        )
