"""Attention over trees laid out in one sequence: every product of a query and a key that it may see, and no other.

A strand's tokens see each other up to themselves; everything below a strand sees all of it. Both are dense blocks of
the score matrix: a triangle per strand, and a rectangle per strand with something below. Blocks over the same queries
are merged exactly by the logarithms l of their sums of exponentials, and one pass back per block with the merged output
and sum gives the gradient:

    out = out_1 e^(l_1 - l) + out_2 e^(l_2 - l),   l = log(e^l_1 + e^l_2)

Source: the merge is that of blockwise softmax (Milakov and Gimelshein 2018); the pass back per block is that of ring
attention (Liu et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

MOST_PADDING = 1.5
"""Strands are computed together while the square of the longest is at most this many times the mean square."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Triangles:
    """Strands of similar length, padded to the same."""

    index: Int[Tensor, "s n"]
    """Place of each token; padding repeats the last."""
    inside: Bool[Tensor, "s n"]

    def take(self, value: Float[Tensor, "1 h t *d"]) -> Float[Tensor, "s h n *d"]:
        """The tokens of the strands."""
        return value[0][:, self.index].transpose(0, 1)

    def put(self, target: Float[Tensor, "1 h t *d"], value: Float[Tensor, "s h n *d"]) -> None:
        """Write what was computed for the tokens of the strands."""
        target[0][:, self.index[self.inside]] = value.transpose(0, 1)[:, self.inside].to(target.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Strands that are run together, in one sequence."""

    strands: Int[Tensor, "s 3"]
    """Where each starts, stops, and where what is below it in the block ends."""
    triangles: tuple[Triangles, ...]

    @staticmethod
    def of(start: Int[Tensor, " s"], stop: Int[Tensor, " s"], end: Int[Tensor, " s"]) -> Block:
        """Prepare the work."""
        found: list[Triangles] = []
        for chosen in alike(stop - start):
            length = (stop - start)[chosen].unsqueeze(1)
            within = torch.arange(int(length.max()))
            index = start[chosen].unsqueeze(1) + torch.minimum(within, length - 1)
            found.append(Triangles(index=index, inside=within < length))
        return Block(strands=torch.stack((start, stop, end), 1), triangles=tuple(found))

    @property
    def rectangles(self) -> list[tuple[slice, slice]]:
        """Keys of a strand, and the queries below that see all of them."""
        return [(slice(start, stop), slice(stop, end)) for start, stop, end in self.strands.tolist() if end > stop]

    @cached_property
    def mask(self) -> Bool[Tensor, "t t"]:
        """Which tokens of the block each of its tokens sees."""
        start, stop, end = self.strands.unbind(1)
        key = torch.arange(int(end.max()))
        ends = torch.repeat_interleave(end, stop - start)
        return (key <= key.unsqueeze(1)) & (key.unsqueeze(1) < ends)


def alike(length: Int[Tensor, " s"]) -> tuple[Int[Tensor, " _"], ...]:
    """Split strands into sets of similar length, so that little is computed for padding.

    Args:
        length: tokens of each strand, at least 1.

    Returns:
        Numbers of the strands of each set, each strand in exactly one.
    """
    order = length.argsort(descending=True, stable=True)
    found, real, longest = list[list[int]](), 0, 0
    for strand, size in zip(order.tolist(), length[order].tolist(), strict=True):
        if not found or (len(found[-1]) + 1) * longest**2 > MOST_PADDING * (real + size**2):
            found.append([])
            real, longest = 0, size
        found[-1].append(strand)
        real += size**2
    return tuple(torch.tensor(strands) for strands in found)


class _TreeAttention(torch.autograd.Function):
    """Attention of a block, on top of keys that all its tokens see; nothing but its output is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, block: Block, scale: float, query: Tensor, *keyed: Tensor) -> Tensor:
        """Output [1, heads, tokens, size]; `keyed` is keys and values, of the block and, if any, of the path above."""
        key, value, *past = keyed
        wide = torch.promote_types(query.dtype, torch.float32)
        out, total = query.new_empty(query.shape, dtype=wide), query.new_empty(query.shape[:3], dtype=wide)
        for part in block.triangles:
            found = _FORWARD(part.take(query), part.take(key), part.take(value), 0.0, True, scale=scale)
            part.put(out, found[0])
            part.put(total, found[1])
        for keys, queries in block.rectangles:
            found = _FORWARD(query[:, :, queries], key[:, :, keys], value[:, :, keys], 0.0, False, scale=scale)
            _merge(out[:, :, queries], total[:, :, queries], *found)
        if past:
            _merge(out, total, *_FORWARD(query, *past, 0.0, False, scale=scale))
        out = out.to(query.dtype)
        ctx.block, ctx.scale = block, scale
        ctx.save_for_backward(query, out, total, *keyed)
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """Gradients of query, keys and values."""
        (slope,), block, scale = slopes, ctx.block, ctx.scale
        query, out, total, key, value, *past = ctx.saved_tensors
        grads = [torch.empty_like(one, dtype=total.dtype) for one in (query, key, value)]
        for part in block.triangles:
            outside = ~part.inside[:, None]
            given = part.take(slope).masked_fill(outside.unsqueeze(3), 0)
            sums = part.take(total).masked_fill(outside, torch.inf)
            taken = (part.take(query), part.take(key), part.take(value), part.take(out))
            for grad, found in zip(grads, _BACKWARD(given, *taken, sums, 0.0, True, scale=scale), strict=True):
                part.put(grad, found)
        for keys, queries in block.rectangles:
            at = (queries, keys, keys)
            taken = (query[:, :, queries], key[:, :, keys], value[:, :, keys], out[:, :, queries])
            found = _BACKWARD(slope[:, :, queries], *taken, total[:, :, queries], 0.0, False, scale=scale)
            for grad, place, one in zip(grads, at, found, strict=True):
                grad[:, :, place] += one
        above: list[Tensor] = []
        if past:
            own, *above = _BACKWARD(slope, query, *past, out, total, 0.0, False, scale=scale)
            grads[0] += own
        return None, None, *(grad.to(query.dtype) for grad in grads), *above


# torch's public attention does not return the sums that the merge needs, nor take them for the pass back
_FORWARD = cast("Any", torch.ops.aten._scaled_dot_product_flash_attention_for_cpu)  # noqa: SLF001
_BACKWARD = cast("Any", torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward)  # noqa: SLF001


def _merge(out: Tensor, total: Tensor, more: Tensor, more_total: Tensor) -> None:
    """Add the attention over further keys to `out`, in place."""
    both = torch.logaddexp(total, more_total)
    out.mul_((total - both).exp().unsqueeze(3)).addcmul_(more.to(out.dtype), (more_total - both).exp().unsqueeze(3))
    total.copy_(both)


def attend_by_blocks(block: Block, scale: float, query: Tensor, *keyed: Tensor) -> Float[Tensor, "1 h t d"]:
    """Attention of a block on the processor.

    Args:
        block: the strands.
        scale: factor of the scores.
        query: [1, heads, tokens, size].
        keyed: keys and values of the block, then those of the path above it, if any: [1, fewer heads, tokens, size].

    Returns:
        One output per query; differentiable. Nothing of the size of the score matrix is kept.
    """
    return cast("Tensor", _TreeAttention.apply(block, scale, query, *keyed))


def attend_by_mask(block: Block, scale: float, query: Tensor, *keyed: Tensor) -> Float[Tensor, "1 h t d"]:
    """The same by torch's attention under a mask, on any device; the scores of all pairs are computed.

    Args:
        block: the strands.
        scale: factor of the scores.
        query: [1, heads, tokens, size].
        keyed: as for `attend_by_blocks`.

    Returns:
        One output per query; differentiable.
    """
    key, value, *past = keyed
    mask = block.mask.to(query.device)
    if past:
        key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        mask = functional.pad(mask, (past[0].shape[2], 0), value=True)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=True)


class TreeLayer:
    """Stands where transformers keeps a layer's cache: it holds keys and values of a block and answers."""

    is_sliding, is_initialized, is_compileable, supports_early_init = False, True, False, True

    def __init__(self, block: Block, past: tuple[Tensor, Tensor] | tuple[()]) -> None:
        self.block, self.past = block, past
        self.keys, self.values = torch.empty(0), torch.empty(0)

    def update(self, key: Tensor, value: Tensor, *_: object, **__: object) -> tuple[TreeLayer, TreeLayer]:
        """Take the keys and values of the block; the layer goes on in their place."""
        self.keys, self.values = key, value
        return self, self

    def get_seq_length(self) -> int:
        """Not used: positions are given."""
        return 0

    def attention(self, query: Float[Tensor, "1 h t d"], scale: float) -> Float[Tensor, "1 t h d"]:
        """Output for every token of the block."""
        attend = attend_by_blocks if query.device.type == "cpu" else attend_by_mask
        return attend(self.block, scale, query, self.keys, self.values, *self.past).transpose(1, 2)
