"""Steps of control as moves: the state before, the action, the reward and the state after, as flat tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import segments
from milepost.columns import End
from milepost.errors import ColumnError
from milepost.forest import Forest

_NEEDED = ("observation", "action", "reward.outcome", "end")


@dataclass(frozen=True, kw_only=True)
class Moves:
    """The steps of a forest below its roots, in its order; n moves of m trajectories."""

    row: Int[Tensor, " n"]
    """Row of the forest."""
    state: Float[Tensor, "n s"]
    action: Float[Tensor, "n a"]
    """0 where it is not known."""
    known: Bool[Tensor, " n"]
    """Whether the action is known."""
    reward: Float[Tensor, " n"]
    after: Float[Tensor, "n s"]
    """State arrived at."""
    terminated: Bool[Tensor, " n"]
    """Whether nothing can follow; a time limit does not count."""
    previous: Int[Tensor, " n"]
    """The move before, as a place in this table; -1 where the state is a trajectory's first."""
    trajectory: Int[Tensor, " n"]
    """Number of the root above, in [0, m)."""

    def __len__(self) -> int:
        """Number of moves."""
        return len(self.row)

    def take(self, which: Bool[Tensor, " n"]) -> Moves:
        """The chosen moves; a move whose predecessor is left out counts as a first one."""
        places = which.nonzero().squeeze(1)
        new = torch.full((len(self) + 1,), -1, dtype=torch.int64)
        new[places] = torch.arange(len(places))
        return Moves(
            row=self.row[places], state=self.state[places], action=self.action[places], known=self.known[places],
            reward=self.reward[places], after=self.after[places], terminated=self.terminated[places],
            previous=new[self.previous[places]], trajectory=self.trajectory[places],
        )  # fmt: skip


def moves_of(forest: Forest) -> Moves:
    """Read the moves of a forest of control.

    Args:
        forest: with `observation`, `action`, `reward.outcome` and `end`; an action that is not valid is not known.

    Returns:
        One move per row that is no root.

    Raises:
        ColumnError: a column is missing, or actions are numbered.

    Example:
        >>> columns = {"observation": torch.eye(2), "action": torch.ones(2, 1), "reward.outcome": [None, 2.0]}
        >>> moves_of(Forest.of([-1, 0], {**columns, "ok.outcome": [False, True], "end": [0, 1]})).reward.tolist()
        [2.0]
    """
    missing = [name for name in _NEEDED if name not in forest]
    if missing:
        raise ColumnError(
            f"Moves are read from the columns {', '.join(_NEEDED)}, but the forest lacks {', '.join(missing)}. It has: "
            f"{', '.join(forest.names)}."
        )
    if not forest["action"].is_floating_point():
        raise ColumnError(
            f"Actions of this forest are numbered ({forest['action'].dtype}), expected vectors of real numbers: the "
            "inverse model and the offline learners take no numbered actions. Use a task whose action space is a Box."
        )
    row = (forest.parent >= 0).nonzero().squeeze(1)
    before = forest.parent[row]
    place = torch.full((len(forest),), -1, dtype=torch.int64)
    place[row] = torch.arange(len(row))
    root = torch.full((len(forest),), -1, dtype=torch.int64)
    root[forest.roots()] = torch.arange(len(forest.roots()))
    known = forest.valid("action")[row]
    action = forest["action"].reshape(len(forest), -1)[row].to(torch.float32)
    state = forest["observation"].reshape(len(forest), -1).to(torch.float32)
    return Moves(
        row=row,
        state=state[before],
        action=torch.where(known[:, None], action, 0.0),
        known=known,
        reward=torch.where(forest.valid("reward.outcome"), forest["reward.outcome"], 0.0)[row],
        after=state[row],
        terminated=forest["end"][row] == int(End.TERMINATED),
        previous=place[before],
        trajectory=root[forest.root_of()[row]],
    )


def returns(moves: Moves) -> Float[Tensor, " m"]:
    """Sum of the rewards of each trajectory.

        R_j = sum of r_i over the moves i of trajectory j

    Args:
        moves: the moves.

    Returns:
        One number per trajectory, in reward units.
    """
    count = int(moves.trajectory.max()) + 1 if len(moves) else 0
    return segments.group_sum(moves.reward.to(torch.float64), moves.trajectory, count, torch.ones_like(moves.known)).to(
        torch.float32
    )


class Controller(Protocol):
    """Chooses actions from states."""

    def act(self, state: Float[Tensor, "n s"]) -> Float[Tensor, "n a"]:
        """Action for each state, within the bounds of the task."""
        ...
