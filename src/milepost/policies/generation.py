"""Reading prefixes once and writing many continuations of each, token by token, with a cache of keys and values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from milepost.policies import shared_prefix
from milepost.policies.decoding import Decoding, choose, chosen_log_prob
from milepost.ragged import Ragged, gather_index, offsets_of

MOST_READS, FEWEST_TOGETHER = 8, 16
"""Prefixes are read in this many batches by length, of at least so many rows, so that little of a batch is padding."""
COMPACT_BELOW = 0.75
"""Finished rows leave the batch when the share of unfinished ones falls below this."""


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Prefixes that were read: their cache, which cached positions are real, and the logits that follow each."""

    cache: Any
    mask: Bool[Tensor, "n l"]
    logits: Float[Tensor, "n v"]

    def expand(self, child: Int[Tensor, " k"]) -> Prefix:
        """One copy of a prefix per child; gradients flow back to the prefix."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        cache.batch_select_indices(child)
        return Prefix(cache=cache, mask=self.mask[child], logits=self.logits[child])


def _forward(model: Any, ids: Tensor, mask: Tensor | None, position: Tensor, cache: Any, *, keep: int) -> Any:
    return model(
        input_ids=ids,
        attention_mask=None if mask is None else mask.long(),
        position_ids=position,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    )


def read_prefixes(model: Any, prefixes: Ragged) -> Prefix:
    """Run the model once over each prefix, those of similar length together.

    Args:
        model: a causal language model of transformers.
        prefixes: token ids; every prefix holds at least one.

    Returns:
        The cache, padded on the left, and the logits after each prefix; differentiable unless gradients are off.
    """
    lengths = prefixes.lengths
    order = lengths.argsort(stable=True)
    reads = min(MOST_READS, len(order) // FEWEST_TOGETHER)
    if reads < 2:
        return _read(model, prefixes)
    parts = [_read(model, prefixes.select(rows)) for rows in order.chunk(reads)]
    back, width = order.argsort(), int(lengths.max())

    def widened(value: Tensor, dimension: int) -> Tensor:
        missing = width - value.shape[dimension]
        return functional.pad(value, (0, 0) * (value.dim() - 1 - dimension) + (missing, 0))

    cache = parts[0].cache
    for place, layer in enumerate(cache.layers):
        layers = [part.cache.layers[place] for part in parts]
        layer.keys = torch.cat([widened(one.keys, 2) for one in layers])[back]
        layer.values = torch.cat([widened(one.values, 2) for one in layers])[back]
    mask = torch.cat([widened(part.mask, 1) for part in parts])[back]
    return Prefix(cache=cache, mask=mask, logits=torch.cat([part.logits for part in parts])[back])


def _read(model: Any, prefixes: Ragged) -> Prefix:
    lengths = prefixes.lengths
    width = int(lengths.max())
    mask = torch.arange(width) >= width - lengths.unsqueeze(1)
    ids = torch.zeros(len(prefixes), width, dtype=torch.int64).masked_scatter(mask, prefixes.values.long())
    position = (mask.long().cumsum(-1) - 1).clamp(min=0)
    out = _forward(model, ids, mask, position, None, keep=1)
    return Prefix(cache=out.past_key_values, mask=mask, logits=out.logits[:, -1])


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """Ends an answer at a special token or where its text ends in one of the stop strings."""

    tokenizer: Any
    special: Bool[Tensor, " v"]
    """Tokens that end an answer by themselves."""
    completing: Bool[Tensor, " v"]
    """Tokens whose text holds the last character of a stop string: only then is the text looked at."""
    strings: tuple[str, ...]
    reach: int
    """Tokens that are decoded to look for a stop string."""

    @staticmethod
    def of(tokenizer: Any, strings: Sequence[str], vocabulary: int) -> StopRule:
        """Prepare the rule for a tokenizer."""
        special = torch.zeros(vocabulary, dtype=torch.bool)
        ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")}
        special[[token for token in ends if isinstance(token, int) and token != tokenizer.unk_token_id]] = True
        completing = torch.zeros(vocabulary, dtype=torch.bool)
        if strings:
            lasts = {text[-1] for text in strings}
            pieces = tokenizer.batch_decode([[token] for token in range(min(vocabulary, len(tokenizer)))])
            completing[[token for token, piece in enumerate(pieces) if lasts & set(piece)]] = True
        reach = max((len(text) for text in strings), default=0) + 4
        return StopRule(
            tokenizer=tokenizer, special=special, completing=completing, strings=tuple(strings), reach=reach
        )

    def ends(self, token: Int[Tensor, " n"], recent: Int[Tensor, "n r"]) -> Bool[Tensor, " n"]:
        """Which rows end with `token`, the last of `recent`."""
        ended = self.special[token]
        for row in (self.completing[token] & ~ended).nonzero().squeeze(1).tolist():
            tail = recent[row, -self.reach :].tolist()
            text = self.tokenizer.decode([one for one in tail if one >= 0], skip_special_tokens=True)
            ended[row] = any(self._completed(text, stop, int(token[row])) for stop in self.strings)
        return ended

    def _completed(self, text: str, stop: str, token: int) -> bool:
        """Whether the stop string is there and its last character came with the last token."""
        piece = self.tokenizer.decode([token])
        return stop in text[max(0, len(text) - len(piece) - len(stop) + 1) :]


@dataclass(kw_only=True)
class Written:
    """What was written: flat tokens with offsets, their log-probabilities, and which rows stopped by themselves."""

    ids: Int[Tensor, " t"]
    log_prob: Float[Tensor, " t"]
    offsets: Int[Tensor, " m"]
    stopped: Bool[Tensor, " n"]

    @staticmethod
    def nothing(count: int) -> Written:
        """Rows for which there was no room for a token."""
        return Written(
            ids=torch.zeros(0, dtype=torch.int32),
            log_prob=torch.zeros(0),
            offsets=torch.zeros(count + 1, dtype=torch.int64),
            stopped=torch.zeros(count, dtype=torch.bool),
        )


def joined(parts: Sequence[Written], order: Int[Tensor, " n"]) -> Written:
    """One record of what was written in several batches.

    Args:
        parts: the batches.
        order: for each row of the result, its place among the rows of all batches, end to end.

    Returns:
        The rows in the given order.
    """
    offsets = offsets_of(torch.cat([part.offsets.diff() for part in parts]))
    index, fresh = gather_index(offsets, order)
    return Written(
        ids=torch.cat([part.ids for part in parts])[index],
        log_prob=torch.cat([part.log_prob for part in parts])[index],
        offsets=fresh,
        stopped=torch.cat([part.stopped for part in parts])[order],
    )


@dataclass(kw_only=True)
class _Page:
    ids: Tensor
    log_prob: Tensor
    length: Tensor
    stopped: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.stopped = torch.zeros(len(self.length), dtype=torch.bool)

    @staticmethod
    def blank(count: int, limit: int) -> _Page:
        return _Page(
            ids=torch.full((count, limit), -1, dtype=torch.int64),
            log_prob=torch.zeros(count, limit),
            length=torch.zeros(count, dtype=torch.int64),
        )

    def write(self, rows: Tensor, token: Tensor, log_prob: Tensor, stop: StopRule) -> None:
        """Add one token to each of the rows, all of which are of one length."""
        step = int(self.length[rows[0]])
        self.ids[rows, step], self.log_prob[rows, step] = token, log_prob.float()
        self.length[rows] = step + 1
        self.stopped[rows] = stop.ends(token, self.ids[rows, max(0, step + 1 - stop.reach) : step + 1])

    def close(self) -> Written:
        inside = torch.arange(self.ids.shape[1]) < self.length.unsqueeze(1)
        return Written(
            ids=self.ids[inside].int(),
            log_prob=self.log_prob[inside],
            offsets=offsets_of(self.length),
            stopped=self.stopped,
        )


class _Branches(Protocol):
    """Continuations in progress: one row each."""

    def advance(self, model: Any, token: Tensor) -> Tensor:
        """Read one token per row and return the logits that follow."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Drop all other rows."""
        ...


@dataclass(kw_only=True)
class _Sharing:
    """Rows that read the cache of their prefix where it is."""

    cache: Any
    position: Tensor

    def advance(self, model: Any, token: Tensor) -> Tensor:
        out = _forward(model, token.unsqueeze(1), None, self.position.unsqueeze(1), self.cache, keep=1)
        self.position = self.position + 1
        return out.logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        shared_prefix.keep(self.cache, rows)
        self.position = self.position[rows]


@dataclass(kw_only=True)
class _Copied:
    """Rows that each have a copy of the cache of their prefix: for models that cannot share it."""

    cache: Any
    mask: Tensor

    def advance(self, model: Any, token: Tensor) -> Tensor:
        position = self.mask.sum(1, keepdim=True)
        self.mask = torch.cat((self.mask, self.mask.new_ones(len(token), 1)), 1)
        return _forward(model, token.unsqueeze(1), self.mask, position, self.cache, keep=1).logits[:, -1]

    def keep(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]


def _branches(model: Any, prefix: Prefix, child: Tensor, limit: int) -> _Branches:
    if shared_prefix.install(model):
        cache = shared_prefix.branch(prefix.cache, prefix.mask, child, limit)
        return _Sharing(cache=cache, position=prefix.mask.sum(1)[child])
    copies = prefix.expand(child)
    return _Copied(cache=copies.cache, mask=copies.mask)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Continuations that are asked for."""

    child: Int[Tensor, " n"]
    """The prefix that each follows."""
    noise: Float[Tensor, "n limit"]
    """One uniform number per continuation and token."""
    room: Int[Tensor, " n"] | None = None
    """Tokens that each may have, at least 1; None: as many as there are numbers."""


def generate(model: Any, prefix: Prefix, wanted: Wanted, decoding: Decoding, stop: StopRule) -> Written:
    """Write one continuation per child.

    Args:
        model: a causal language model of transformers.
        prefix: what `read_prefixes` returned.
        wanted: what each continuation follows, its randomness and its room.
        decoding: temperature, nucleus, limit.
        stop: ends a continuation.

    Returns:
        The tokens, the one that ended a continuation included.
    """
    count, longest = wanted.noise.shape
    room = torch.full((count,), longest) if wanted.room is None else wanted.room
    limit = min(longest, int(room.max()))
    page, rows = _Page.blank(count, limit), torch.arange(count)
    branches, logits = _branches(model, prefix, wanted.child, limit), prefix.logits[wanted.child]
    for step in range(limit):
        token = choose(logits, wanted.noise[rows, step], temperature=decoding.temperature, top_p=decoding.top_p)
        live = ~page.stopped[rows] & (room[rows] > step)
        log_prob = chosen_log_prob(logits[live], token[live], temperature=decoding.temperature)
        page.write(rows[live], token[live], log_prob, stop)
        going = ~page.stopped[rows] & (room[rows] > step + 1)
        if step + 1 == limit or not bool(going.any()):
            break
        if float(going.double().mean()) < COMPACT_BELOW:
            kept = going.nonzero().squeeze(1)
            branches.keep(kept)
            rows, token = rows[kept], token[kept]
        logits = branches.advance(model, token)
    return page.close()
