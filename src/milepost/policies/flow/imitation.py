"""What the best image of a tree has to say to the states it did not come through: a view with a teacher's steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import backup, segments
from milepost.columns import End, Origin
from milepost.forest import Forest
from milepost.policies.flow.kernel import FlowKernel, Kernel, across


def shortfall(value: Float[Tensor, " n"], best: Float[Tensor, " n"], worst: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """How far a node is from the best of its tree, as a share of what there is between best and worst.

        clip((best - value) / (best - worst + 1e-8), 0, 1)

    Args:
        value: mean reward below each node.
        best: highest reward of its tree.
        worst: lowest.

    Returns:
        In [0, 1]; exactly 0 where all rewards of a tree are equal.

    Source: the progress reward of LayerTuning-RL in Dynamic-TreeRPO, arXiv:2509.23352; the formula is ours.
    """
    return ((best - value) / (best - worst + 1e-8)).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class TowardsBest:
    """Adds to the batch, below each state whose step had noise, the step that leads straight to the best image.

    With an objective that adds -weight log pi of these steps the loss is the weighted squared error of the velocity:

        sum over nodes of shortfall |v(x, t) - (x - best) / t|^2 / pixels

    States on the way to the best image itself weigh nothing, nor do trees whose best is not above the mean of the
    batch, or the best of the worst would be imitated. Implements `recipe.View`.

    Source: LayerTuning-RL in Dynamic-TreeRPO, arXiv:2509.23352, with the end point as target.

    Example:
        >>> TowardsBest()(Forest.of([-1, 0])).names
        ('parent',)
    """

    kernel: Kernel = field(default_factory=FlowKernel)
    """That of the model."""

    def __call__(self, forest: Forest) -> Forest:
        """The batch with the teacher's steps; the batch itself where there are none."""
        if "latent" not in forest or "reward.total" not in forest:
            return forest
        row = (forest["stochastic"] & forest.valid("stochastic")).nonzero().squeeze(1)
        if len(row) == 0:
            return forest
        nodes, eldest = _eldest(forest.parent[row], row)
        weight, image = _lesson(forest, nodes)
        some = weight > 0
        return _grafted(forest, nodes[some], eldest[some], weight[some], image[some], self.kernel)


def _eldest(parent: Int[Tensor, " k"], row: Int[Tensor, " k"]) -> tuple[Tensor, Tensor]:
    nodes, which = parent.unique(return_inverse=True)
    return nodes, torch.full((len(nodes),), int(row.max()) + 1).scatter_reduce(0, which, row, "amin")


def _lesson(forest: Forest, nodes: Int[Tensor, " m"]) -> tuple[Tensor, Tensor]:
    """Weight of each node, and row of the best image below its root, in whichever of the root's trees that is."""
    size, root = len(forest), forest.root_of()
    leaf = segments.child_count(forest.parent) == 0
    ok = leaf & forest["ok.total"] & forest.valid("reward.total") & (forest.parent >= 0)
    reward = torch.where(ok, forest["reward.total"].double(), 0)
    nothing = torch.zeros_like(reward)
    mean = backup.backup(reward, nothing + 1, nothing, forest.parent, ok | ~leaf, reduce=segments.group_mean)
    best, worst = (reduce(reward, root, size, ok) for reduce in (segments.group_max, segments.group_min))
    first = (ok & (reward == best[root])).nonzero().squeeze(1)
    image = torch.full((size,), size).scatter_reduce(0, root[first], first, "amin")[root[nodes]]
    known = image < size
    image = torch.where(known, image, 0)
    on_the_way = backup.at_or_above(
        torch.zeros(size, dtype=torch.bool).index_fill(0, image[known], True), forest.parent
    )
    weight = shortfall(mean.state[nodes], best[root[nodes]], worst[root[nodes]])
    average = float(reward[ok].mean()) if bool(ok.any()) else 0.0
    fine = known & ~on_the_way[nodes] & (best[root[nodes]] > average)
    return torch.where(fine, weight, 0), image


def _grafted(forest: Forest, nodes: Tensor, eldest: Tensor, weight: Tensor, image: Tensor, kernel: Kernel) -> Forest:
    """Steps of the teacher below the nodes; -log pi of each times its weight is the squared error and a constant."""
    if len(nodes) == 0:
        return forest
    latent, now = forest["latent"][nodes], forest["time"][nodes]
    after, std = forest["time"][eldest], forest["std"][eldest]
    output = kernel.towards(latent, forest["latent"][image], now)
    target = kernel.mean(latent, output, now, after, std)
    one = torch.ones_like(latent)
    slope = (kernel.mean(latent, one - 1, now, after, std) - kernel.mean(latent, one, now, after, std)).flatten(1)[:, 0]
    size = len(nodes)
    taught = Forest.of(
        [-1] * size,
        {
            "latent": target,
            "mean": target,
            "time": after,
            "std": std,
            "stochastic": torch.ones(size, dtype=torch.bool),
            "origin": [int(Origin.TEACHER)] * size,
            "end": [int(End.VOID)] * size,
            "weight": weight.float() * 2 * std.square() / across(slope, std).square(),
        },
    )
    return forest.graft(nodes, taught)
