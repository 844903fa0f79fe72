"""Attention over prefixes that many continuations share: their keys and values are stored and read once, not per child.

The softmax over a prefix and over a child's own tokens is taken in two parts and merged exactly:

    m = max(m_prefix, m_own),  l = l_prefix e^(m_prefix - m) + l_own e^(m_own - m)
    out = (o_prefix e^(m_prefix - m) + o_own e^(m_own - m)) / l

where m is the largest score of a part, l the sum and o the weighted sum of values of e^(score - m).

Source: the merge is that of blockwise softmax (Milakov and Gimelshein 2018); sharing the prefix part among samples is
Hydragen's (Juravsky et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from milepost import optional

NAME = "milepost_shared_prefix"
"""Name under which the attention is registered with transformers."""

FIRST_ROOM = 32
"""Tokens per row for which there is room at first; the room doubles when it is full."""

PRUNE_BELOW = 0.75
"""Prefixes whose children have all finished are dropped when the share of the others falls below this."""


@dataclass(frozen=True, kw_only=True)
class Seating:
    """Rows laid out by prefix: prefix p has `width` seats, some of them empty."""

    child: Int[Tensor, " n"]
    """Prefix of each row."""
    seat: Int[Tensor, " n"]
    """Seat of each row, in [0, prefixes * width)."""
    row: Int[Tensor, " s"]
    """Row in each seat; empty seats repeat row 0, and what is computed there is not read."""
    width: int

    @staticmethod
    def of(child: Int[Tensor, " n"], prefixes: int) -> Seating:
        """Seat rows that follow the given prefixes."""
        count = torch.bincount(child, minlength=prefixes)
        width = int(count.max())
        order = child.argsort(stable=True)
        rank = torch.empty_like(child)
        rank[order] = torch.arange(len(child)) - (count.cumsum(0) - count)[child[order]]
        seat = child * width + rank
        row = torch.zeros(prefixes * width, dtype=torch.int64)
        row[seat] = torch.arange(len(child))
        return Seating(child=child, seat=seat, row=row, width=width)


@dataclass(kw_only=True)
class Part:
    """Attention over one set of keys, not yet normalised."""

    largest: Float[Tensor, "*b 1"]
    total: Float[Tensor, "*b 1"]
    out: Float[Tensor, "*b d"]


def attend_part(score: Float[Tensor, "*b k"], value: Float[Tensor, "*c k d"]) -> Part:
    """Softmax of one part of the keys, without the division.

        largest = max_k score_k,  total = sum_k e^(score_k - largest),  out = sum_k e^(score_k - largest) value_k

    Args:
        score: scaled query-key products, -inf where a key is hidden; at least one per row is finite.
        value: values, broadcast over the leading dimensions.

    Returns:
        The three quantities, in the type of the scores.
    """
    largest = score.amax(-1, keepdim=True)
    weight = (score - largest).exp_()
    return Part(largest=largest, total=weight.sum(-1, keepdim=True), out=weight @ value)


def merge(one: Part, other: Part) -> Float[Tensor, "*b d"]:
    """Attention over both parts.

        out = (o_1 e^(m_1 - m) + o_2 e^(m_2 - m)) / (l_1 e^(m_1 - m) + l_2 e^(m_2 - m)),  m = max(m_1, m_2)

    Args:
        one: attention over some keys.
        other: attention over the other keys, of the same shape.

    Returns:
        What softmax over all keys gives.
    """
    largest = torch.maximum(one.largest, other.largest)
    first, second = (one.largest - largest).exp_(), (other.largest - largest).exp_()
    return (one.out * first + other.out * second) / (one.total * first + other.total * second)


class SharedLayer:
    """Keys and values of one layer, as transformers' caches hold them: of the prefixes, and of each row's own tokens.

    At least float32 whatever the model's type, so that scores are not rounded twice. `install` declares it a cache
    layer.
    """

    is_sliding, is_initialized, is_compileable, supports_early_init = False, True, False, True

    def __init__(self, layer: Any, hidden: Float[Tensor, "p 1 1 l"], seating: Seating, limit: int) -> None:
        wide = torch.promote_types(layer.keys.dtype, torch.float32)
        self.keys, self.values = layer.keys.to(wide), layer.values.to(wide)
        self.hidden, self.seating = hidden, seating
        self.limit, self.length = limit, 0
        shape = (len(seating.child), self.keys.shape[1], 0, self.keys.shape[3])
        self.own_keys, self.own_values = self.keys.new_empty(shape), self.keys.new_empty(shape)

    def update(self, key: Tensor, value: Tensor, *_: object, **__: object) -> tuple[SharedLayer, SharedLayer]:
        """Add one token per row; `attend` takes the layer in place of keys and values."""
        if self.length == self.own_keys.shape[2]:
            room = min(self.limit, max(FIRST_ROOM, 2 * self.length)) - self.length
            self.own_keys = functional.pad(self.own_keys, (0, 0, 0, room))
            self.own_values = functional.pad(self.own_values, (0, 0, 0, room))
        self.own_keys[:, :, self.length] = key[:, :, 0]
        self.own_values[:, :, self.length] = value[:, :, 0]
        self.length += 1
        return self, self

    def get_seq_length(self) -> int:
        """Tokens of the longest path."""
        return self.keys.shape[2] + self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the mask; the mask itself is not used."""
        return self.get_seq_length() + query_length, 0

    def keep(self, rows: Int[Tensor, " k"], prefixes: Int[Tensor, " q"] | None, seating: Seating) -> None:
        """Drop finished rows, and prefixes without rows."""
        self.own_keys, self.own_values = self.own_keys[rows], self.own_values[rows]
        if prefixes is not None:
            self.keys, self.values, self.hidden = self.keys[prefixes], self.values[prefixes], self.hidden[prefixes]
        self.seating = seating

    def attention(self, query: Float[Tensor, "n h 1 d"], scale: float) -> Float[Tensor, "n 1 h d"]:
        """Attention of one new token per row over its prefix and its own tokens."""
        found = self._attend(query[:, :, 0].to(self.keys.dtype) * scale)
        return found.to(query.dtype).unsqueeze(1)

    def _attend(self, query: Float[Tensor, "n h d"]) -> Float[Tensor, "n h d"]:
        rows, _, size = query.shape
        prefixes, heads, _, _ = self.keys.shape
        width, seating = self.seating.width, self.seating
        query = query.view(rows, heads, -1, size)
        shared = query[seating.row].view(prefixes, width, heads, -1, size).transpose(1, 2).flatten(2, 3)
        part = attend_part(shared @ self.keys.transpose(2, 3) + self.hidden, self.values)

        def by_row(value: Tensor) -> Tensor:
            return value.view(prefixes, heads, width, -1, value.shape[-1]).transpose(1, 2).flatten(0, 1)[seating.seat]

        above = Part(largest=by_row(part.largest), total=by_row(part.total), out=by_row(part.out))
        own_keys, own_values = self.own_keys[:, :, : self.length], self.own_values[:, :, : self.length]
        below = attend_part(query @ own_keys.transpose(2, 3), own_values)
        return merge(above, below).flatten(1, 2)


def _part(name: str) -> Any:
    return optional.load(f"transformers.{name}", extra="lm", purpose="Sampling from a language model")


def _attention(module: Any, query: Tensor, key: Any, value: Any, mask: Tensor | None, **settings: Any) -> Any:
    """The attention function that transformers calls: plain keys go to its own, others to the layer that holds them."""
    if isinstance(key, Tensor):
        return _part("integrations.sdpa_attention").sdpa_attention_forward(module, query, key, value, mask, **settings)
    return key.attention(query, settings.get("scaling") or query.shape[-1] ** -0.5), None


def install(model: Any) -> bool:
    """Let a model read shared prefixes, if it is of a kind that can.

    Args:
        model: a causal language model of transformers, or a PEFT model around one.

    Returns:
        Whether it can: it uses transformers' attention interface with scaled dot products, and all layers attend to
        everything before them. Otherwise prefixes are copied to their children.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    chosen = getattr(inner.config, "_attn_implementation", None)
    if chosen == NAME:
        return True
    kinds = set(getattr(inner.config, "layer_types", None) or ("full_attention",))
    if chosen != "sdpa" or kinds != {"full_attention"} or getattr(inner.config, "sliding_window", None):
        return False
    if not getattr(inner, "_supports_attention_backend", False):
        return False
    masks = _part("masking_utils")
    _part("modeling_utils").AttentionInterface.register(NAME, _attention)
    masks.AttentionMaskInterface.register(NAME, masks.sdpa_mask)
    _part("cache_utils").CacheLayerMixin.register(SharedLayer)
    inner.set_attn_implementation(NAME)
    return True


def branch(cache: Any, mask: Bool[Tensor, "p l"], child: Int[Tensor, " n"], limit: int) -> Any:
    """A cache for one row per child on top of prefixes that were read.

    Args:
        cache: what the model returned for the prefixes.
        mask: which cached positions are real.
        child: the prefix that each row follows.
        limit: most tokens that a row will add.

    Returns:
        A cache for a model on which `install` returned True.
    """
    seating = Seating.of(child, len(mask))
    hidden = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None]
    layers = [SharedLayer(layer, hidden, seating, limit) for layer in cache.layers]
    return _part("cache_utils").Cache(layers=layers)


def keep(cache: Any, rows: Int[Tensor, " k"]) -> None:
    """Drop all other rows from a cache made by `branch`.

    Args:
        cache: changed in place.
        rows: rising numbers of the rows that go on.
    """
    layers = cast("list[SharedLayer]", cache.layers)
    child = layers[0].seating.child[rows]
    count = len(layers[0].keys)
    used, renamed = child.unique(return_inverse=True)
    prune = len(used) < PRUNE_BELOW * count
    seating = Seating.of(renamed, len(used)) if prune else Seating.of(child, count)
    for layer in layers:
        layer.keep(rows, used if prune else None, seating)
