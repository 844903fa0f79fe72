"""Proxy labels: the actions that an ensemble of inverse dynamics models sees in trajectories without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from milepost import checks, keys
from milepost.curation.relabel import gaussian
from milepost.curation.relabel.inverse import InverseDynamics, Learned
from milepost.curation.relabel.windows import Scale, scale_of, windows
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.traces.moves import Moves, moves_of

UNCERTAINTY = "extra.action_variance"
"""Column of the uncertainty: variance of the label, mean over the numbers of an action, in their unit squared."""
PROVENANCE = "label.action"
"""Column of the provenance: "true" or "proxy"."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """What the models see of moves, on the scale of all states, labelled or not."""

    state: Scale
    change: Scale
    past: int

    def __call__(self, moves: Moves) -> Float[Tensor, "n w"]:
        """One window per move."""
        change = self.change(moves.after - moves.state)
        return windows(self.state(moves.state), change, moves.previous, self.past)


@dataclass(frozen=True, kw_only=True)
class Model:
    """An ensemble of inverse dynamics models and everything that it needs to label."""

    members: tuple[Learned, ...]
    views: Views
    low: Float[Tensor, " a"]
    high: Float[Tensor, " a"]

    def __call__(self, moves: Moves) -> gaussian.Moments:
        """Mean, inside the range, and variance of the actions of moves; what they know of actions is not looked at."""
        seen = self.views(moves)
        with torch.no_grad():
            found = [
                gaussian.moments(*member.network(seen), self.low.to(seen.dtype), self.high.to(seen.dtype))
                for member in self.members
            ]
        mixed = gaussian.mixture(torch.stack([f.mean for f in found]), torch.stack([f.variance for f in found]))
        low, high = self.low.to(seen.dtype), self.high.to(seen.dtype)
        return gaussian.Moments(mean=torch.maximum(torch.minimum(mixed.mean, high), low), variance=mixed.variance)


@dataclass(frozen=True, kw_only=True)
class ProxyLabels:
    """Writes the missing actions of a forest, with their uncertainty and where they come from.

    With `rounds` above 1 the most certain labels of the rounds before are learned from as if they were true.
    """

    inverse: InverseDynamics = field(default_factory=InverseDynamics)
    past: int = 1
    """States before the current one that the model sees; 0 is the plain model of two states."""
    members: int = 1
    """Models in the ensemble."""
    rounds: int = 1
    reads: ClassVar[tuple[str, ...]] = ("observation", "action", "reward.outcome", "end")
    writes: ClassVar[tuple[str, ...]] = ("action", UNCERTAINTY, PROVENANCE)

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("past", self.past, 0)
        checks.at_least("members", self.members, 1)
        checks.at_least("rounds", self.rounds, 1)

    def fit(self, moves: Moves, low: Sequence[float], high: Sequence[float], key: int) -> Model:
        """Train the ensemble on the moves whose action is known; the states of all moves give the scale.

        Args:
            moves: moves of labelled and unlabelled trajectories.
            low: smallest value of each number of an action.
            high: largest value.
            key: all randomness comes from it.

        Returns:
            The ensemble.

        Raises:
            SettingError: no action is known.
        """
        if not bool(moves.known.any()):
            raise SettingError(
                f"None of the {len(moves)} moves has an action, so none can be learned from: keep the actions of some "
                "trajectories (share above 0)."
            )
        views = Views(state=scale_of(moves.state), change=scale_of(moves.after - moves.state), past=self.past)
        bottom, top = (torch.tensor(list(bound), dtype=torch.float32) for bound in (low, high))
        seen = views(moves)
        taught, known = moves.action, moves.known
        model: Model | None = None
        for number in range(self.rounds):
            if model is not None:
                found = model(moves)
                certain = most_certain(found.variance.mean(1), ~moves.known, number / self.rounds)
                taught = torch.where(moves.known[:, None], moves.action, found.mean)
                known = moves.known | certain
            inner = gaussian.inward(taught, bottom, top)
            members = tuple(
                self.inverse.fit(
                    seen[known], inner[known], moves.trajectory[known], keys.fold(key, "member", number, member)
                )
                for member in range(self.members)
            )
            model = Model(members=members, views=views, low=bottom, high=top)
        assert model is not None
        return model

    def apply(self, forest: Forest, low: Sequence[float], high: Sequence[float], key: int) -> tuple[Forest, Model]:
        """Label what has no action; where every action is known the forest keeps its actions to the bit.

        Args:
            forest: trajectories; an action that is not valid is missing, whatever stands there.
            low: smallest value of each number of an action.
            high: largest value.
            key: all randomness comes from it.

        Returns:
            The forest with `action`, the uncertainty and the provenance; the ensemble.

        Raises:
            SettingError: no action is known.
        """
        moves = moves_of(forest)
        model = self.fit(moves, low, high, key)
        found = model(moves)
        action = forest["action"].reshape(len(forest), -1)
        action = torch.where(forest.valid("action")[:, None], action, 0)
        fresh = moves.row[~moves.known]
        action[fresh] = found.mean[~moves.known].to(action.dtype)
        variance = torch.zeros(len(forest), dtype=torch.float32)
        variance[moves.row] = torch.where(moves.known, 0.0, found.variance.mean(1))
        named: list[str | None] = [None] * len(forest)
        for row, known in zip(moves.row.tolist(), moves.known.tolist(), strict=True):
            named[row] = "true" if known else "proxy"
        is_move = forest.parent >= 0
        columns = {"action": action.reshape(forest["action"].shape), UNCERTAINTY: variance, PROVENANCE: named}
        return forest.with_columns(columns).with_valid("action", is_move), model


def most_certain(variance: Float[Tensor, " n"], labelled: Bool[Tensor, " n"], share: float) -> Bool[Tensor, " n"]:
    """The labels that self-training takes for true: those of least variance.

    Args:
        variance: of each label; what stands where `labelled` is false does not matter.
        labelled: which moves have a label of the model.
        share: of the labels that are taken, in [0, 1]; the number is rounded down.

    Returns:
        One truth value per move; of equal variances the first.
    """
    doubt = torch.where(labelled, variance, torch.inf)
    certain = torch.zeros_like(labelled)
    certain[torch.argsort(doubt, stable=True)[: int(share * int(labelled.sum()))]] = True
    return certain
