"""Log-probabilities of trees and their gradients: a block at once, or depth first with the memory of one path.

Depth first, a block of siblings runs on the keys and values of their path. These are cut off from the graph that made
them, so that the pass back of a block ends there and leaves the slope of its path behind. When all blocks below are
done, the slopes of a block's own keys and values are complete, and the block is passed back and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from milepost import optional
from milepost.policies.tree.attention import Block, TreeLayer
from milepost.policies.tree.layout import Layout
from milepost.ragged import gather_index

Cache: TypeAlias = "tuple[tuple[Tensor, Tensor], ...]"
"""Keys and values of every layer, [1, heads, tokens, size]; of nothing above a root: empty."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Logits:
    """Scores of the vocabulary behind some targets: target i is read at `logits[which[i]]`."""

    target: Int[Tensor, " k"]
    logits: Float[Tensor, "u v"]
    """Divided by the temperature, in float32 or wider."""
    which: Int[Tensor, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ran:
    """What one pass over a block gave."""

    target: Int[Tensor, " k"]
    """Targets of the layout whose log-probability the block gives."""
    log_prob: Float[Tensor, " k"]
    cache: Cache

    def push(self, slope: Float[Tensor, " k"], held: Cache) -> None:
        """Add to the gradients of the weights and of the path, given the slopes of all that the pass gave."""
        pairs = [(self.log_prob, slope)]
        for own, cut in zip(self.cache, held, strict=True):
            pairs += [(one, leaf.grad) for one, leaf in zip(own, cut, strict=True) if leaf.grad is not None]
        pairs = [pair for pair in pairs if pair[0].requires_grad and pair[0].numel()]
        torch.autograd.backward([value for value, _ in pairs], [given for _, given in pairs])


@dataclass(frozen=True, kw_only=True, eq=False)
class Passes:
    """Runs a model over a layout."""

    model: Any
    """A causal language model on which `shared_prefix.install` returned True."""
    layout: Layout
    temperature: float
    room: int
    """Tokens whose graph fits in memory together."""

    def run(self, strands: Int[Tensor, " s"], past: Cache) -> Ran:
        """One pass over rising strands, behind the keys and values of the path above them."""
        count = int(self.model.config.num_hidden_layers)
        index, block = self._block(strands)
        layers = [TreeLayer(block, past[number] if past else ()) for number in range(count)]
        read = self._logits(index, layers)
        log_prob = read.logits[read.which, self.layout.targets.token[read.target]]
        log_prob = log_prob - read.logits.logsumexp(-1)[read.which]
        return Ran(target=read.target, log_prob=log_prob, cache=tuple((one.keys, one.values) for one in layers))

    def logits(self, strands: Int[Tensor, " s"]) -> Logits:
        """What one pass over whole trees says of all their targets."""
        index, block = self._block(strands)
        return self._logits(index, [TreeLayer(block, ()) for _ in range(int(self.model.config.num_hidden_layers))])

    def _block(self, strands: Tensor) -> tuple[Tensor, Block]:
        """Places of the strands' tokens in the layout, and the attention among them."""
        held = self.layout.strands
        index, _ = gather_index(torch.cat((held.start, held.stop[-1:])), strands)
        first, last, below = (torch.searchsorted(index, at[strands]) for at in (held.start, held.stop, held.end))
        return index, Block.of(first, last, below)

    def _logits(self, index: Tensor, layers: list[TreeLayer]) -> Logits:
        layout = self.layout
        target = torch.isin(layout.targets.after, index).nonzero().squeeze(1)
        read, which = torch.searchsorted(index, layout.targets.after[target]).unique(return_inverse=True)
        out = self.model(
            input_ids=layout.id[index].unsqueeze(0),
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool),  # of four dimensions: taken as it is, and not used
            position_ids=layout.position[index].unsqueeze(0),
            past_key_values=optional.load("transformers.cache_utils", extra="lm", purpose="Training").Cache(layers),
            use_cache=True,
            logits_to_keep=read,
        )
        wide = out.logits[0].to(torch.promote_types(out.logits.dtype, torch.float32))
        return Logits(target=target, logits=wide / self.temperature, which=which)

    def depth_first(self, siblings: Int[Tensor, " s"], slope: Tensor | None = None) -> Float[Tensor, " k"]:
        """Log-probability of every target in the given strands and below them; with a slope, also the gradients.

        Args:
            siblings: rising strands without a parent.
            slope: d loss / d log-probability of every target of the layout; gradients of the weights are added to.

        Returns:
            One value per target of the layout, 0 elsewhere; carries no gradient.
        """
        found = torch.zeros(len(self.layout.targets.token))
        with torch.set_grad_enabled(slope is not None):
            self._descend(siblings, (), 0, found, slope)
        return found

    def _descend(self, siblings: Tensor, past: Cache, held: int, found: Tensor, slope: Tensor | None) -> None:
        """One level; `held` counts the tokens whose graph is held above."""
        strands = self.layout.strands
        for share in shares(siblings, (strands.stop - strands.start)[siblings], self.room - held):
            ran = self.run(share, past)
            found[ran.target] = ran.log_prob.detach().to(found.dtype)
            cut: Cache = tuple((key.detach(), value.detach()) for key, value in ran.cache)
            if slope is not None:
                cut = tuple((key.requires_grad_(), value.requires_grad_()) for key, value in cut)
            for below, own in self._below(share):
                self._descend(below, _longer(past, cut, own), held + cut[0][0].shape[2], found, slope)
            if slope is not None:
                ran.push(slope[ran.target].to(ran.log_prob.dtype), cut)

    def _below(self, share: Tensor) -> Iterator[tuple[Tensor, slice]]:
        """Children of each strand of a block that has some, and the places of its own tokens in the block."""
        strands, place = self.layout.strands, 0
        for strand in share.tolist():
            size = int(strands.stop[strand] - strands.start[strand])
            below = (strands.parent == strand).nonzero().squeeze(1)
            if len(below):
                yield below, slice(place, place + size)
            place += size


def shares(strands: Int[Tensor, " s"], size: Int[Tensor, " s"], room: int) -> list[Int[Tensor, " _"]]:
    """Split strands into runs of at most `room` tokens.

    Args:
        strands: any numbers.
        size: tokens of each.
        room: tokens of a run; a larger strand is a run of its own.

    Returns:
        The runs, in order.
    """
    found, held = list[list[int]](), 0
    for strand, tokens in zip(strands.tolist(), size.tolist(), strict=True):
        if not found or held + tokens > room:
            found.append([])
            held = 0
        found[-1].append(strand)
        held += tokens
    return [torch.tensor(run) for run in found]


def _longer(past: Cache, cut: Cache, own: slice) -> Cache:
    fresh = tuple((key[:, :, own], value[:, :, own]) for key, value in cut)
    if not past:
        return fresh
    pairs = zip(past, fresh, strict=True)
    return tuple((torch.cat((k, key), 2), torch.cat((v, value), 2)) for (k, v), (key, value) in pairs)
