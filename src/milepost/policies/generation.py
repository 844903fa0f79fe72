"""Reading prefixes once and writing many continuations of each, token by token, with a cache of keys and values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from milepost.policies.decoding import Decoding, choose, chosen_log_prob
from milepost.ragged import Ragged, offsets_of

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

    def extend(self, model: Any, ids: Int[Tensor, "n t"], inside: Bool[Tensor, "n t"]) -> Float[Tensor, "n t v"]:
        """Logits after each of the tokens `ids` that follow the prefixes; the cache grows in place."""
        mask = torch.cat((self.mask, inside), 1)
        position = self.mask.sum(1, keepdim=True) + torch.arange(ids.shape[1])
        return _forward(model, ids, mask, position, self.cache, keep=0).logits


def _forward(model: Any, ids: Tensor, mask: Tensor, position: Tensor, cache: Any, *, keep: int) -> Any:
    return model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=position,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    )


def read_prefixes(model: Any, prefixes: Ragged) -> Prefix:
    """Run the model once over each prefix.

    Args:
        model: a causal language model of transformers.
        prefixes: token ids; every prefix holds at least one.

    Returns:
        The cache, padded on the left, and the logits after each prefix; differentiable unless gradients are off.
    """
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


@dataclass(kw_only=True)
class _Page:
    ids: Tensor
    log_prob: Tensor
    length: Tensor
    stopped: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.stopped = torch.zeros(len(self.length), dtype=torch.bool)

    def close(self) -> Written:
        inside = torch.arange(self.ids.shape[1]) < self.length.unsqueeze(1)
        return Written(
            ids=self.ids[inside].int(),
            log_prob=self.log_prob[inside],
            offsets=offsets_of(self.length),
            stopped=self.stopped,
        )


def generate(model: Any, prefix: Prefix, child: Tensor, noise: Tensor, decoding: Decoding, stop: StopRule) -> Written:
    """Write one continuation per child.

    Args:
        model: a causal language model of transformers.
        prefix: what `read_prefixes` returned.
        child: for each continuation, the prefix it follows.
        noise: one uniform number per continuation and token.
        decoding: temperature, nucleus, limit.
        stop: ends a continuation.

    Returns:
        The tokens, the one that ended a continuation included.
    """
    count, limit = noise.shape
    page = _Page(
        ids=torch.full((count, limit), -1, dtype=torch.int64),
        log_prob=torch.zeros(count, limit),
        length=torch.zeros(count, dtype=torch.int64),
    )
    state, at = prefix.expand(child), torch.arange(count)
    cache, mask, logits = state.cache, state.mask, state.logits
    for step in range(limit):
        token = choose(logits, noise[at, step], temperature=decoding.temperature, top_p=decoding.top_p)
        live = ~page.stopped[at]
        rows = at[live]
        page.ids[rows, step] = token[live]
        page.log_prob[rows, step] = chosen_log_prob(logits[live], token[live], temperature=decoding.temperature)
        page.length[rows] = step + 1
        page.stopped[rows] = stop.ends(token[live], page.ids[rows, max(0, step + 1 - stop.reach) : step + 1])
        going = ~page.stopped[at]
        if step + 1 == limit or not bool(going.any()):
            break
        if float(going.double().mean()) < COMPACT_BELOW:
            kept = going.nonzero().squeeze(1)
            cache.batch_select_indices(kept)
            at, token, mask = at[kept], token[kept], mask[kept]
        position = mask.sum(1, keepdim=True)
        mask = torch.cat((mask, mask.new_ones(len(at), 1)), 1)
        out = _forward(model, token.unsqueeze(1), mask, position, cache, keep=1)
        cache, logits = out.past_key_values, out.logits[:, -1]
    return page.close()
