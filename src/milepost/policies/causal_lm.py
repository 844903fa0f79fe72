"""A transformers causal language model as a policy: children of many rows at once, shared prefixes computed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from milepost import keys as key_streams
from milepost.columns import End, Role
from milepost.errors import ColumnError, ResumeError
from milepost.forest import Forest, Given
from milepost.part import Observation, Proposals
from milepost.policies.decoding import Decoding, chosen_log_prob
from milepost.policies.generation import StopRule, generate, read_prefixes
from milepost.policies.prompting import Prompting
from milepost.ragged import Ragged, gather_index

SMALLEST_NUCLEUS = 1e-6
"""Share of the probability that always lies in the likeliest token alone."""
LOGITS_AT_ONCE = 160_000_000
"""Logits whose graph is held in memory together; with the size of the vocabulary it limits the tokens of one pass."""


@dataclass(kw_only=True, eq=False)
class CausalLM:
    """Any causal language model of transformers, with or without LoRA adapters.

    The log-probabilities recorded at sampling are those of softmax(logits / temperature), without the nucleus, as
    `log_prob` recomputes them. Token j of a step uses number j of the stream of the step's key, so an answer depends on
    its own prefix and key only.
    """

    model: Any
    """A `PreTrainedModel`, or a PEFT model around one; it is put in evaluation mode (no dropout)."""
    tokenizer: Any
    decoding: Decoding = field(default_factory=Decoding)
    version: int = 0

    def __post_init__(self) -> None:
        """Prepare prompts and the rule that ends answers."""
        self.model.eval()
        self._prompting = Prompting(tokenizer=self.tokenizer)
        self._stop = StopRule.of(self.tokenizer, self.decoding.stop, int(self.model.config.vocab_size))

    # ---- the policy protocol ----

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Token columns of what the environment said: prompts at the start, observations later."""
        ids = Ragged.of([self._prompting.tokens(one, start=start) for one in observations], torch.int32)
        role = Role.PROMPT if start else Role.OBSERVATION
        return _token_columns(ids, role, train=False)

    @torch.no_grad()
    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Answer every row once per key; a row that occurs many times is read once."""
        contexts, child = rows.unique(return_inverse=True)
        prefix = read_prefixes(self.model, path_tokens(forest, contexts))
        noise = torch.from_numpy(key_streams.uniform(keys.tolist(), self.decoding.max_tokens))
        written = generate(self.model, prefix, child, noise, self.decoding, self._stop)
        ids = Ragged(written.ids, written.offsets)
        texts = self.tokenizer.batch_decode([ids[row].tolist() for row in range(len(rows))], skip_special_tokens=True)
        end = torch.where(written.stopped, int(End.OPEN), int(End.TOKEN_LIMIT)).to(torch.int8)
        columns: dict[str, Given] = {
            **_token_columns(ids, Role.POLICY, train=True),
            "tokens.log_prob": Ragged(written.log_prob, ids.offsets),
            "text": texts,
            "end": end,
            "cost.model_calls": torch.ones(len(rows), dtype=torch.float64),
            "cost.tokens": ids.lengths.double(),
        }
        return Proposals(parent=rows, columns=columns)

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of every token of the given rows, 0 where the policy did not choose it; differentiable."""
        if forest.token_offsets is None:
            raise ColumnError("CausalLM.log_prob needs token columns, but the forest has none.")
        index, offsets = gather_index(forest.token_offsets, rows)
        chosen = forest["tokens.role"][index] == int(Role.POLICY)
        steps = torch.zeros(len(rows), dtype=torch.bool)
        steps[Ragged(chosen, offsets).row[chosen]] = True
        found = torch.zeros(len(index))
        for share in self._shares(forest, rows, steps.nonzero().squeeze(1)):
            place, _ = gather_index(offsets, share)
            found = found.index_copy(0, place, self._steps_log_prob(forest, rows[share]))
        return found.where(chosen, 0)

    def greedy(self) -> CausalLM:
        """The same weights, taking the likeliest token each time; the log-probabilities stay those of the softmax."""
        return dataclasses.replace(self, decoding=dataclasses.replace(self.decoding, top_p=SMALLEST_NUCLEUS))

    # ---- the learner protocol ----

    @property
    def tokens_at_once(self) -> int:
        """Tokens whose graph fits in memory together."""
        return max(256, min(32_768, LOGITS_AT_ONCE // int(self.model.config.vocab_size)))

    def trainable(self) -> Mapping[str, Tensor]:
        """Parameters that receive gradients, by name."""
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def advance(self) -> None:
        """Count one update."""
        self.version += 1

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the trainable parameters and the number of updates they have seen."""
        own = self.trainable()
        if own.keys() != tensors.keys():
            odd = sorted(own.keys() ^ tensors.keys())[:3]
            raise ResumeError(f"The weights do not fit the model: {odd} ... are on one side only.")
        for name, value in own.items():
            value.copy_(tensors[name])
        self.version = version

    # ---- log-probabilities ----

    def _shares(self, forest: Forest, rows: Tensor, steps: Tensor) -> list[Tensor]:
        """Positions in `rows` that are read together: siblings stay together as far as memory allows."""
        if len(steps) == 0:
            return []
        order = steps[forest.parent[rows[steps]].argsort(stable=True)]
        lengths = forest.ragged("tokens.id").lengths[rows[order]]
        share = torch.div(lengths.cumsum(0) - lengths, self.tokens_at_once, rounding_mode="floor")
        return [order[share == number] for number in share.unique().tolist()]

    def _steps_log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """One value per token of the rows: siblings share one pass over their prefix, and gradients flow through it."""
        contexts, child = forest.parent[rows].unique(return_inverse=True)
        prefix = read_prefixes(self.model, path_tokens(forest, contexts))
        own = forest.ragged("tokens.id").select(rows)
        width = int(own.lengths.max())
        inside = torch.arange(width) < own.lengths.unsqueeze(1)
        ids = torch.zeros(len(rows), width, dtype=torch.int64).masked_scatter(inside, own.values.long())
        first = prefix.logits[child].unsqueeze(1)
        if width > 1:
            later = prefix.expand(child).extend(self.model, ids[:, :-1], inside[:, :-1])
            first = torch.cat((first, later), 1)
        return chosen_log_prob(first, ids, temperature=self.decoding.temperature)[inside]


def _token_columns(ids: Ragged, role: Role, *, train: bool) -> dict[str, Given]:
    size = len(ids.values)
    return {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.full((size,), int(role), dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.full((size,), train), ids.offsets),
    }


def path_tokens(forest: Forest, rows: Tensor) -> Ragged:
    """Tokens from the root down to each of the given rows.

    Args:
        forest: with token columns.
        rows: the ends of the paths.

    Returns:
        Token ids, one row per path.
    """
    paths = forest.paths(rows)
    tokens = forest.ragged("tokens.id").select(paths.values)
    ends = tokens.offsets[paths.offsets]
    return Ragged(tokens.values, ends)
