"""Credit by a critic: generalised advantages and n-step returns on forests, for one or several streams of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import backup, checks, segments
from milepost.columns import End
from milepost.credit.compare import earned, unfailed
from milepost.errors import ShapeError
from milepost.forest import Forest
from milepost.part import State

VALUE = "feature.value"
RETURN = "feature.return"
_EPSILON = 1e-8


def residual(
    reward: Float[Tensor, " n"], discount: Float[Tensor, " n"], value: Float[Tensor, " n"], before: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """How much better a step went than the critic thought: the temporal-difference residual.

        delta = reward + discount V(after) - V(before)

    Args:
        reward: of the step.
        discount: between the step and what follows, in [0, 1]; 0 after a termination.
        value: V of the state arrived at.
        before: V of the state in which the step was taken.

    Returns:
        Reward units.

    Source: Sutton 1988.
    """
    return reward + discount * value - before


def generalised_advantage(
    delta: Float[Tensor, " n"],
    discount: Float[Tensor, " n"],
    parent: Int[Tensor, " n"],
    ok: Bool[Tensor, " n"],
    *,
    trace_decay: float,
) -> Float[Tensor, " n"]:
    """Discounted sum of the residuals along a path, over the mean of the branches.

        A_i = delta_i + trace_decay discount_i mean of A_j over the ok children j of i;   A_i = delta_i at a leaf

    Args:
        delta: from `residual`; read below roots only.
        discount: as there, one per row.
        parent: row of the step before, -1 for a root.
        ok: rows that count.
        trace_decay: lambda in [0, 1].

    Returns:
        Reward units; 0 at roots and where not ok.

    Source: Schulman et al. 2016, arXiv:1506.02438, eq. 16; on a chain it is that equation.
    Limits: lambda = 0 is delta; lambda = 1 is the discounted return, bootstrapped at the leaf, less V_{parent_i}.
    """
    nothing = torch.zeros_like(delta)
    found = backup.backup(delta, trace_decay * discount, nothing, parent, ok, reduce=segments.group_mean)
    return torch.where(found.ok & (parent >= 0), found.step, 0)


def n_step_return(
    reward: Float[Tensor, " n"],
    discount: Float[Tensor, " n"],
    value: Float[Tensor, " n"],
    parent: Int[Tensor, " n"],
    ok: Bool[Tensor, " n"],
    *,
    steps: int,
) -> Float[Tensor, " n"]:
    """Return of the next `steps` steps and the critic's value of where they lead, over the mean of the branches.

        G_i(1) = reward_i + discount_i V_i
        G_i(k + 1) = reward_i + discount_i mean of G_j(k) over the ok children j of i;   G_i(1) at a leaf

    Args:
        reward: of the step into each row.
        discount: as for `residual`.
        value: V of the state arrived at.
        parent: row of the step before, -1 for a root.
        ok: rows that count.
        steps: at least 1.

    Returns:
        Reward units; 0 at roots and where not ok.

    Source: Sutton and Barto, Reinforcement Learning, eq. 7.1.   Limits: steps = 1 is delta + V_{parent_i}.
    """
    counts = ok & (parent >= 0)
    group = torch.where(counts, parent, 0)
    inner = segments.group_count(group, len(parent), counts) > 0
    found = reward + discount * value
    for _ in range(steps - 1):
        below = segments.group_mean(found, group, len(parent), counts)
        found = reward + discount * torch.where(inner, below, value)
    return torch.where(counts, found, 0)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One kind of reward, with its own discount and its own column of the critic.

    An endless stream goes on after an episode ends, with the next one: a termination is followed by the value of the
    start. That suits bonuses for what is new, which an agent must not fear to end.
    """

    reward: str = "total"
    """Name of the reward."""
    discount: float = 0.99
    weight: float = 1.0
    """Of its advantage in the sum."""
    endless: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("discount", self.discount, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """One stream of a forest, float64."""

    reward: Tensor
    discount: Tensor
    value: Tensor
    before: Tensor


def _seen(forest: Forest, stream: Stream, column: int, ok: Tensor) -> _Seen:
    value = torch.zeros(len(forest), dtype=torch.float64)
    if VALUE in forest:
        given = forest[VALUE]
        if given.dim() != 2 or given.shape[1] <= column:
            raise ShapeError(
                f"{VALUE} has shape {tuple(given.shape)}, expected a column for each of the streams; number "
                f"{column + 1} is {stream.reward!r}. Give the critic as many values as the credit rule has streams."
            )
        value = given[:, column].double()
    follows = forest["discount"].double() if "discount" in forest else torch.ones_like(value)
    root = value[forest.root_of()]
    before = value.index_select(0, forest.parent.clamp(min=0)) if len(value) else value
    reward = torch.where(ok, earned(forest, stream.reward), 0)
    if not stream.endless:
        return _Seen(reward=reward, discount=stream.discount * follows, value=value, before=before)
    ended = follows == 0
    after = torch.where(ended, root, value)
    return _Seen(reward=reward, discount=stream.discount * torch.where(ended, 1, follows), value=after, before=before)


@dataclass(frozen=True, kw_only=True)
class Advantages:
    """Generalised advantages of one or several streams, added up; the critic's targets are written beside them.

        advantage = sum over streams of weight_s A_s,   then (A - mean) / (standard deviation + 1e-8) over the batch
        feature.return_s = A_s + V_s of the state before

    Reads `feature.value`, one column per stream; without it every value is 0, and an actor without a critic learns from
    discounted returns. A truncated episode is bootstrapped with the value of its last state, a terminated one is not.

    Source: Schulman et al. 2016, arXiv:1506.02438; two streams as in RND, Burda et al. 2018, arXiv:1810.12894.

    Example:
        >>> steps = {"reward.total": [0.0, 1.0, 1.0], "ok.total": [True] * 3, "discount": [1.0, 1.0, 0.0]}
        >>> found = Advantages(streams=(Stream(discount=0.5),), normalise=False)(Forest.of([-1, 0, 1], steps))
        >>> [round(value, 3) for value in found["return"].tolist()]
        [0.0, 1.475, 1.0]
    """

    streams: tuple[Stream, ...] = field(default_factory=lambda: (Stream(),))
    trace_decay: float = 0.95
    """lambda of the generalised advantage, in [0, 1]."""
    normalise: bool = True

    def __post_init__(self) -> None:
        """Check the range."""
        checks.not_empty("streams", self.streams)
        checks.within("trace_decay", self.trace_decay, 0.0, 1.0)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs; of `feature.value` it also does without."""
        return (*_rewards(self.streams), VALUE, "discount", "end")

    writes = ("advantage", "value", "return", RETURN)

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`, `value` and `return` (sums over the streams by weight), and `feature.return`."""
        ok = _counts(forest, self.streams)
        gains, seen = list[Tensor](), list[_Seen]()
        for column, stream in enumerate(self.streams):
            one = _seen(forest, stream, column, ok)
            delta = residual(one.reward, one.discount, one.value, one.before)
            delta = torch.where(forest.parent >= 0, delta, 0)
            gains.append(generalised_advantage(delta, one.discount, forest.parent, ok, trace_decay=self.trace_decay))
            seen.append(one)
        returns = [credit + one.before for credit, one in zip(gains, seen, strict=True)]
        return _written(forest, self.streams, ok, gains, returns, seen, normalise=self.normalise)

    def metrics(self, forest: Forest, state: State) -> Mapping[str, float]:  # noqa: ARG002 - a rule without memory
        """How much of the spread of the returns the critic explains, and their mean."""
        return _explained(forest, self.streams)


@dataclass(frozen=True, kw_only=True)
class NStep:
    """n-step returns less the critic's value, for one or several streams, added up as in `Advantages`.

    Source: Sutton and Barto, Reinforcement Learning, eq. 7.1.   Limits: steps = 1 is `Advantages(trace_decay=0)`.

    Example:
        >>> NStep(steps=3).steps
        3
    """

    streams: tuple[Stream, ...] = field(default_factory=lambda: (Stream(),))
    steps: int = 5
    normalise: bool = True

    def __post_init__(self) -> None:
        """Check the range."""
        checks.not_empty("streams", self.streams)
        checks.at_least("steps", self.steps, 1)

    @property
    def reads(self) -> tuple[str, ...]:
        """As for `Advantages`."""
        return (*_rewards(self.streams), VALUE, "discount", "end")

    writes = ("advantage", "value", "return", RETURN)

    def __call__(self, forest: Forest) -> Forest:
        """Write what `Advantages` writes."""
        ok = _counts(forest, self.streams)
        seen = [_seen(forest, stream, column, ok) for column, stream in enumerate(self.streams)]
        returns = [
            n_step_return(one.reward, one.discount, one.value, forest.parent, ok, steps=self.steps) for one in seen
        ]
        below = forest.parent >= 0
        gains = [torch.where(ok & below, got - one.before, 0) for got, one in zip(returns, seen, strict=True)]
        return _written(forest, self.streams, ok, gains, returns, seen, normalise=self.normalise)


def _rewards(streams: tuple[Stream, ...]) -> tuple[str, ...]:
    return tuple(f"{kind}.{stream.reward}" for stream in streams for kind in ("reward", "ok", "reason"))


def _counts(forest: Forest, streams: tuple[Stream, ...]) -> Tensor:
    ok = unfailed(forest, [stream.reward for stream in streams])
    return ok & (forest["end"] != int(End.VOID)) if "end" in forest else ok


def _written(
    forest: Forest,
    streams: tuple[Stream, ...],
    ok: Tensor,
    gains: list[Tensor],
    returns: list[Tensor],
    seen: list[_Seen],
    *,
    normalise: bool,
) -> Forest:
    below = ok & (forest.parent >= 0)
    weight = torch.tensor([stream.weight for stream in streams], dtype=torch.float64)
    credit = torch.where(below, (torch.stack(gains, 1) * weight).sum(1), 0)
    if normalise and bool(below.any()):
        chosen = credit[below]
        scaled = (credit - chosen.mean()) / (chosen.std(correction=0) + _EPSILON)
        credit = torch.where(below, scaled, 0)
    targets = torch.where(below[:, None], torch.stack(returns, 1), 0)
    value = (torch.stack([one.value for one in seen], 1) * weight).sum(1)
    columns = {
        "advantage": credit.float(),
        "value": value.float(),
        "return": (targets * weight).sum(1).float(),
        RETURN: targets.float(),
    }
    written = forest.with_columns(columns).with_valid("advantage", below).with_valid("return", below)
    return written.with_valid(RETURN, below)


def _explained(forest: Forest, streams: tuple[Stream, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    rows = forest.valid("advantage").nonzero().squeeze(1)
    if VALUE not in forest or len(rows) < 2:
        return found
    before, target = forest[VALUE][forest.parent[rows]].double(), forest[RETURN][rows].double()
    for column, stream in enumerate(streams):
        spread = float(target[:, column].var())
        left = float((target[:, column] - before[:, column]).var())
        found[f"credit/{stream.reward}_explained"] = 1 - left / spread if spread > 0 else 0.0
        found[f"credit/{stream.reward}_return"] = float(target[:, column].mean())
    return found
