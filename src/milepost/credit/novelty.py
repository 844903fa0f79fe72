"""Novelty inside a group: how little a trajectory's direction repeats those of its peers, and rewards shaped by it.

What the directions are of (gradients, embeddings, visited states) is not known here: they are a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost import checks, segments
from milepost.credit.by_root import mean_below, trajectories
from milepost.credit.compare import Compared, GroupRule, GroupSums
from milepost.credit.group import Normalised, zero_sums
from milepost.errors import ColumnError, SettingError
from milepost.forest import Forest
from milepost.part import State

SMALLEST_RANGE = 1e-6
"""Novelties of a group that lie closer together than this are equal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Groups side by side, one line each, padded."""

    place: Int[Tensor, " k"]
    """Where each row that counts stands, in [0, groups * width)."""
    row: Int[Tensor, " k"]
    """Rows that count."""
    shape: tuple[int, int]

    @staticmethod
    def of(group: Int[Tensor, " n"], groups: int, ok: Bool[Tensor, " n"]) -> Grid:
        """Stand rows side by side by group."""
        row = ok.nonzero().squeeze(1)
        row = row[group[row].argsort(stable=True)]
        count = torch.bincount(group[row], minlength=groups)
        within = torch.arange(len(row)) - (count.cumsum(0) - count)[group[row]]
        width = max(1, int(count.max())) if groups else 1
        return Grid(place=group[row] * width + within, row=row, shape=(groups, width))

    def lay(self, value: Float[Tensor, "n *d"], blank: float) -> Float[Tensor, "g w *d"]:
        """Values of the rows, and `blank` where nobody stands."""
        flat = value.new_full((self.shape[0] * self.shape[1], *value.shape[1:]), blank)
        return flat.index_copy(0, self.place, value[self.row]).view(*self.shape, *value.shape[1:])


def cosines(feature: Float[Tensor, "g w d"]) -> Float[Tensor, "g w w"]:
    """Cosine between the directions of every two members of a group.

        S_ij = <Phi_i, Phi_j> / (|Phi_i| |Phi_j|),   0 where one of them is 0

    Args:
        feature: one vector per member; 0 where there is none.

    Returns:
        Numbers in [-1, 1].

    Source: G2RL, arXiv:2512.15687, section 3.
    """
    length = feature.norm(dim=-1, keepdim=True)
    unit = torch.where(length > 0, feature / length.where(length > 0, 1), 0)
    return (unit @ unit.transpose(1, 2)).clamp(-1, 1)


def novelty(
    cosine: Float[Tensor, "g w w"], reward: Float[Tensor, "g w"], *, signed: bool = False
) -> Float[Tensor, "g w"]:
    """How little each member repeats the directions of its peers, above all of those with a high reward.

        nu_i = max(1 - sum_{j != i} w_ij S_ij^2, 0),   w_ij = exp(r_j) / sum_{k != i} exp(r_k)

    Args:
        cosine: S, between every two members.
        reward: r, in [-1, 1]; -inf where nobody stands.
        signed: count max(S, 0)^2, so that an opposing direction is new; else opposing directions repeat each other.

    Returns:
        Numbers in [0, 1]: 0 parallel to all peers, 1 orthogonal to all; 1 for a member without peers.

    Source: G2RL, arXiv:2512.15687, section 3.
    """
    alone = torch.eye(reward.shape[1], dtype=torch.bool)
    weight = reward.unsqueeze(1).expand(-1, reward.shape[1], -1).masked_fill(alone, -torch.inf)
    weight = weight.softmax(-1).nan_to_num(0.0)  # nobody to compare with: no weight at all
    overlap = (cosine.clamp(min=0) if signed else cosine).square()
    return (1 - (weight * overlap).sum(-1)).clamp(0, 1)


def standing(value: Float[Tensor, "g w"], counts: Bool[Tensor, "g w"]) -> Float[Tensor, "g w"]:
    """Where each novelty stands between the smallest and the largest of its group.

        nubar_i = (nu_i - min nu) / (max nu - min nu);   1/2 where they are all equal, and where it does not count

    Args:
        value: novelties.
        counts: members whose novelty says something.

    Returns:
        Numbers in [0, 1].

    Source: G2RL, arXiv:2512.15687, section 3; the ties are milepost's.
    """
    low = value.where(counts, torch.inf).amin(1, keepdim=True)
    high = value.where(counts, -torch.inf).amax(1, keepdim=True)
    told = counts & (high - low > SMALLEST_RANGE)
    return torch.where(told, (value - low) / (high - low), 0.5)


class Shaping(Protocol):
    """Changes a reward by the standing of its novelty."""

    def __call__(self, reward: Float[Tensor, "*n"], place: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The shaped reward, of a reward in [-1, 1] and a standing in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class AsDescribed:
    """The paper's words: new right answers earn more, new wrong ones less, and what is redundant counts less.

        shaped = clip(r (1 + weight (2 nubar - 1)), -bound, bound)

    Source: G2RL, arXiv:2512.15687, the description of section 3; its formula does otherwise, see `AsPrinted`.

    Example:
        >>> AsDescribed(weight=0.5)(torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist()
        [0.5, 1.5, -0.5, -1.5]
    """

    weight: float = 0.5
    """How far novelty moves a reward, in [0, 1], so that its sign stays."""
    bound: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.within("weight", self.weight, 0.0, 1.0)
        checks.positive("bound", self.bound)

    def __call__(self, reward: Float[Tensor, "*n"], place: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The shaped reward."""
        return (reward * (1 + self.weight * (2 * place - 1))).clamp(-self.bound, self.bound)


@dataclass(frozen=True, kw_only=True)
class AsPrinted:
    """The paper's formula: every new answer earns more, so that a new wrong answer is punished less.

        shaped = clip(r (1 + weight r nubar), -bound, bound)

    Source: G2RL, arXiv:2512.15687, section 3.

    Example:
        >>> AsPrinted(weight=0.5)(torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist()
        [1.0, 1.5, -1.0, -0.5]
    """

    weight: float = 0.5
    """At least 0."""
    bound: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.non_negative("weight", self.weight)
        checks.positive("bound", self.bound)

    def __call__(self, reward: Float[Tensor, "*n"], place: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The shaped reward."""
        return (reward * (1 + self.weight * reward * place)).clamp(-self.bound, self.bound)


@dataclass(frozen=True, kw_only=True)
class OneSided:
    """Novelty only adds: new right answers earn more, new wrong ones less, and nothing is taken from redundant ones.

        shaped = clip(r (1 + weight nubar), -bound, bound)

    Source: milepost's reading of G2RL, arXiv:2512.15687, between its words and its formula.

    Example:
        >>> OneSided(weight=0.5)(torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])).tolist()
        [1.0, 1.5, -1.0, -1.5]
    """

    weight: float = 0.5
    """At least 0."""
    bound: float = 3.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.non_negative("weight", self.weight)
        checks.positive("bound", self.bound)

    def __call__(self, reward: Float[Tensor, "*n"], place: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The shaped reward."""
        return (reward * (1 + self.weight * place)).clamp(-self.bound, self.bound)


@dataclass(frozen=True, kw_only=True, eq=False)
class Novelties:
    """What is known of the members of the groups, one line per group."""

    grid: Grid
    cosine: Float[Tensor, "g w w"]
    reward: Float[Tensor, "g w"]
    """In [-1, 1]; -inf where nobody stands."""
    novelty: Float[Tensor, "g w"]
    told: Bool[Tensor, "g w"]
    """Members with a direction."""


@dataclass(frozen=True, kw_only=True)
class Novel:
    """Group credit on rewards that are shaped by the novelty of the trajectory's direction among its peers.

    The reward, of range [low, high], is mapped to [-1, 1], shaped, and mapped back. Trajectories of a root are a group;
    a step that several share gets the mean of their credit.

    Source: G2RL, arXiv:2512.15687, section 3.   Limits: a shaping of weight 0 leaves the rule as it is, to the bit.

    Example:
        >>> rows = {"reward.total": [None, 1.0, 1.0, 1.0, 0.0], "ok.total": [False, True, True, True, True]}
        >>> way = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> forest = Forest.of([-1, 0, 0, 0, 0], {**rows, "feature.gradient": way})
        >>> [round(credit, 2) for credit in Novel()(forest)["advantage"][1:].tolist()]
        [0.0, 0.0, 1.41, -1.41]
    """

    reads, writes = ("reward.total", "ok.total", "feature.gradient"), ("advantage",)
    rule: GroupRule = field(default_factory=Normalised)
    """Credit inside the group, of the shaped rewards."""
    shaping: Shaping = field(default_factory=AsDescribed)
    low: float = 0.0
    """Smallest reward."""
    high: float = 1.0
    """Largest reward."""
    signed: bool = False
    """Whether an opposing direction is new; the paper squares the cosine, so that there it is redundant."""
    equal_too: bool = False
    """Whether groups whose rewards are all equal are trained on their novelty alone; else their credit is 0."""

    def __post_init__(self) -> None:
        """Check the range."""
        if not self.low < self.high:
            raise SettingError(f"low={self.low}, high={self.high} is not allowed: expected low below high.")

    def compare(self, forest: Forest) -> Compared:
        """Leaves of each root, by shaped return."""
        compared = trajectories(forest)
        found = self._novelties(forest, compared)
        place = standing(found.novelty, found.told)
        moved = (self.shaping(found.reward, place) - found.reward) * (self.high - self.low) / 2
        moved = moved.flatten()[found.grid.place]
        value = compared.value.index_add(0, found.grid.row, moved.to(compared.value.dtype))
        if not self.equal_too:
            size, ok = compared.groups, compared.ok
            ends = (segments.group_max, segments.group_min)
            high, low = (end(compared.value, compared.group, size, ok) for end in ends)
            value = torch.where((high > low)[compared.group], value, compared.value)
        return Compared(row=compared.row, value=value, group=compared.group, groups=compared.groups, ok=compared.ok)

    def sums(self, forest: Forest) -> GroupSums:
        """The credit of the leaves of every root sums to 0."""
        return zero_sums(trajectories(forest))

    def metrics(self, forest: Forest, state: State) -> Mapping[str, float]:  # noqa: ARG002 - the protocol
        """Mean novelty, and of the pairs of right answers of a group the mean cosine and the share that oppose."""
        found = self._novelties(forest, trajectories(forest))
        right = found.told & (found.reward > 0)
        pair = right.unsqueeze(1) & right.unsqueeze(2) & ~torch.eye(right.shape[1], dtype=torch.bool)
        numbers: dict[str, float] = {}
        if bool(found.told.any()):
            numbers["credit/novelty"] = float(found.novelty[found.told].mean())
        if bool(pair.any()):
            numbers["credit/cosine_of_right"] = float(found.cosine[pair].mean())
            numbers["credit/opposing_pairs"] = float((found.cosine[pair] < 0).double().mean())
        return numbers

    def __call__(self, forest: Forest) -> Forest:
        """Write `advantage`."""
        compared = self.compare(forest)
        return mean_below(forest, compared, self.rule.of(compared))

    def _novelties(self, forest: Forest, compared: Compared) -> Novelties:
        if "feature.gradient" not in forest:
            raise ColumnError(
                f"Novel needs column 'feature.gradient', but the forest has: {', '.join(forest.names)}. A run "
                "writes it when the policy is a language model; elsewhere write one vector per step."
            )
        paths, own = forest.paths(compared.row), forest["feature.gradient"].double()
        along = own.new_zeros(len(paths), own.shape[1]).index_add(0, paths.row, own[paths.values])
        group = compared.group.unique(return_inverse=True)[1]
        grid = Grid.of(group, int(group.max()) + 1 if len(group) else 0, compared.ok)
        feature = grid.lay(along, 0.0)
        mapped = (2 * (compared.value - self.low) / (self.high - self.low) - 1).clamp(-1, 1)
        reward, cosine = grid.lay(mapped, -torch.inf), cosines(feature)
        told = feature.square().sum(-1) > 0
        return Novelties(
            grid=grid,
            cosine=cosine,
            reward=reward,
            novelty=novelty(cosine, reward, signed=self.signed),
            told=told,
        )
