"""Differentiable log-probabilities of the rows of a forest, each token computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost.forest import Forest
from milepost.policies import shared_prefix
from milepost.policies.decoding import chosen_log_prob
from milepost.policies.tree.choice import Machine, TreeTraining, shape_of
from milepost.policies.tree.layout import Layout, lay_out
from milepost.policies.tree.passes import Passes
from milepost.policies.tree.separate import separate


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Trees that are trained together, and how."""

    roots: Int[Tensor, " r"]
    """Strands without a parent."""
    strands: Int[Tensor, " s"]
    """All strands of the trees."""
    depth_first: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Trees:
    """Log-probabilities of rows of a forest under a model, and their gradients."""

    model: Any
    layout: Layout
    work: tuple[Work, ...]
    temperature: float
    room: int
    shared: bool
    """Whether the model can share prefixes; else every path is computed by itself."""

    @staticmethod
    def of(
        model: Any,
        forest: Forest,
        rows: Int[Tensor, " k"],
        *,
        temperature: float,
        machine: Machine,
        training: TreeTraining,
    ) -> Trees:
        """Lay out the rows and decide how each tree is trained."""
        layout = lay_out(forest, rows)
        return Trees(
            model=model,
            layout=layout,
            work=tuple(plan(layout, machine, training)),
            temperature=temperature,
            room=machine.room,
            shared=shared_prefix.install(model),
        )

    def log_prob(self) -> Float[Tensor, " t"]:
        """One value per token of the rows, 0 where none is wanted; differentiable.

        When not everything fits in one pass, the graph is not held: the values are computed without one, and `push`
        computes them again when the slopes are known. Gradients then reach `.grad` of the weights by `backward()` only.
        """
        if not torch.is_grad_enabled() or (len(self.work) == 1 and not self.work[0].depth_first):
            values = self.values()
        else:
            anchor = torch.zeros((), requires_grad=True)
            values = cast("Tensor", _Recomputed.apply(anchor, self))
        return torch.zeros(self.layout.size).index_copy(0, self.layout.targets.place, values)

    def push(self, slope: Float[Tensor, " t"]) -> None:
        """Add to the gradients of the weights, given d loss / d log-probability of every token of the rows."""
        self.push_targets(slope[self.layout.targets.place])

    def push_targets(self, slope: Float[Tensor, " k"]) -> None:
        """The same with one slope per target."""
        passes = self._passes()
        for work in self.work:
            if work.depth_first and self.shared:
                passes.depth_first(work.roots, slope)
                continue
            with torch.enable_grad():
                target, log_prob = self._one(passes, work)
                if log_prob.requires_grad:
                    log_prob.backward(slope[target].to(log_prob.dtype))

    def numbers(self) -> dict[str, float]:
        """Tokens with and without repetition, and how many trees are trained in which way."""
        ways = {"packed": 0, "depth_first": 0, "separate": 0}
        for work in self.work:
            way = "separate" if not self.shared else "depth_first" if work.depth_first else "packed"
            ways[way] += len(work.roots)
        return {
            "update/unique_tokens": float(len(self.layout.id)),
            "update/repeated_tokens": float(self.layout.repeated),
            **{f"update/{way}_trees": float(count) for way, count in ways.items()},
        }

    def _passes(self) -> Passes:
        return Passes(model=self.model, layout=self.layout, temperature=self.temperature, room=self.room)

    def values(self) -> Float[Tensor, " k"]:
        """One value per target; with a graph only if nothing is trained depth first."""
        passes, count = self._passes(), len(self.layout.targets.token)
        found = torch.zeros(count)
        for work in self.work:
            if work.depth_first and self.shared:
                found = found + passes.depth_first(work.roots)
            else:
                target, log_prob = self._one(passes, work)
                found = found.index_copy(0, target, log_prob.to(found.dtype))
        return found

    def _one(self, passes: Passes, work: Work) -> tuple[Tensor, Tensor]:
        """Targets of some trees, and their log-probabilities with their graph."""
        if self.shared:
            ran = passes.run(work.strands, ())
            return ran.target, ran.log_prob
        read = separate(self.model, self.layout, work.strands, self.temperature)
        return read.target, chosen_log_prob(read.logits, self.layout.targets.token[read.target], temperature=1.0)

    @torch.no_grad()
    def directions(self) -> Float[Tensor, "n d"]:
        """Gradient direction of every target: what its log-probability asks of the last hidden state.

            phi = W[token] - sum_v p_v W[v] = T d log p(token) / d h,   logits = W h + b,  p = softmax(logits / T)

        Source: G2RL, arXiv:2512.15687. Needs a model whose logits are linear in the last hidden state.
        """
        weight = self.model.get_output_embeddings().weight.float()
        found = torch.zeros(len(self.layout.targets.token), weight.shape[1])
        for work in self.work:
            if self.shared:
                read = self._passes().logits(work.strands)
            else:
                read = separate(self.model, self.layout, work.strands, self.temperature)
            mean = read.logits.softmax(-1).float() @ weight
            found[read.target] = weight[self.layout.targets.token[read.target]] - mean[read.which]
        return found


class _Recomputed(torch.autograd.Function):
    """Log-probabilities whose graph is made when their slopes are known."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, trees: Trees) -> Tensor:  # noqa: ARG004 - the anchor asks for a gradient
        """One value per target."""
        ctx.trees = trees
        with torch.no_grad():
            return trees.values()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """Push the slopes into the weights; nothing is left for the anchor."""
        ctx.trees.push_targets(slopes[0])
        return None, None


def plan(layout: Layout, machine: Machine, training: TreeTraining) -> list[Work]:
    """Decide which trees are trained together, and how.

    Args:
        layout: the trees.
        machine: the model's sizes and the memory.
        training: says which trees are trained depth first.

    Returns:
        Trees in order; those that are packed share a pass as long as it holds at most `machine.room` tokens.
    """
    strands, found, held = layout.strands, list[tuple[list[int], bool]](), 0
    for root in (strands.parent < 0).nonzero().squeeze(1).tolist():
        shape = shape_of(layout, int(strands.start[root]), int(strands.end[root]))
        deep = training.depth_first(shape, machine)
        if not found or deep or found[-1][1] or held + shape.tokens > machine.room:
            found.append(([], deep))
            held = 0
        found[-1][0].append(root)
        held += shape.tokens
    work: list[Work] = []
    for roots, deep in found:
        first, last = strands.start[roots[0]], strands.end[roots[-1]]
        inside = (strands.start >= first) & (strands.start < last)
        work.append(Work(roots=torch.tensor(roots), strands=inside.nonzero().squeeze(1), depth_first=deep))
    return work
