"""A transformers causal language model as a policy: children of many rows at once, shared prefixes computed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from milepost import keys as key_streams
from milepost import segments
from milepost.columns import End, Role
from milepost.forest import Forest, Given
from milepost.part import Observation, Proposals
from milepost.policies import weights
from milepost.policies.batches import batches, path_tokens
from milepost.policies.decoding import Decoding
from milepost.policies.generation import StopRule, Wanted, Written, generate, joined, read_prefixes
from milepost.policies.prompting import Prompting
from milepost.policies.tree.choice import Automatic, Machine, TreeTraining, head_size
from milepost.policies.tree.training import Trees
from milepost.ragged import Ragged, offsets_of

SMALLEST_NUCLEUS = 1e-6
"""Share of the probability that always lies in the likeliest token alone."""
UNLIMITED = 2**31
"""Context of a model that states none."""
CACHED_AT_ONCE = 400_000_000
"""Keys and values that are held in memory together while sampling; more rows are sampled in several batches."""


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
    training: TreeTraining = field(default_factory=Automatic)
    """How trees are trained: packed into one pass or depth first."""
    memory_bytes: int = 4 * 2**30
    """Memory that the graph of one pass may take. Part of what determines a run to the byte, so it is not measured."""
    version: int = 0

    def __post_init__(self) -> None:
        """Prepare prompts and the rule that ends answers."""
        self.model.eval()
        self._prompting = Prompting(tokenizer=self.tokenizer)
        self._stop = StopRule.of(self.tokenizer, self.decoding.stop, int(self.model.config.vocab_size))
        self._closing = self._prompting.closing()

    # ---- the policy protocol ----

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Token columns of what the environment said: prompts at the start, observations later."""
        ids = Ragged.of([self._prompting.tokens(one, start=start) for one in observations], torch.int32)
        role = Role.PROMPT if start else Role.OBSERVATION
        return _token_columns(ids, role, train=False)

    @torch.no_grad()
    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Answer every row once per key; a row that occurs many times is read once."""
        longest = self.decoding.max_tokens
        above = segments.path_sum(forest.ragged("tokens.id").lengths, forest.parent)[rows]
        room = (self.context - len(self._closing) - above).clamp(0, longest)
        able, full = (room > 0).nonzero().squeeze(1), (room == 0).nonzero().squeeze(1)
        limit = CACHED_AT_ONCE // _cached_per_token(self.model)
        order = [able[part] for part in batches(rows[able], room[able], above[able], limit)]
        written = [self._write(forest, rows[places], keys[places], room[places]) for places in order]
        answers = joined([*written, Written.nothing(len(full))], torch.cat([*order, full]).argsort())
        ids = Ragged(answers.ids, answers.offsets)
        texts = self.tokenizer.batch_decode([ids[row].tolist() for row in range(len(rows))], skip_special_tokens=True)
        end = torch.where(answers.stopped, int(End.OPEN), int(End.TOKEN_LIMIT)).to(torch.int8)
        columns: dict[str, Given] = {
            **self._closed(answers),
            "text": texts,
            "end": end,
            "cost.model_calls": (room > 0).double(),
            "cost.tokens": ids.lengths.double(),
        }
        return Proposals(parent=rows, columns=columns)

    def _write(self, forest: Forest, rows: Tensor, keys: Tensor, room: Tensor) -> Written:
        contexts, child = rows.unique(return_inverse=True)
        prefix = read_prefixes(self.model, path_tokens(forest, contexts))
        noise = torch.from_numpy(key_streams.uniform(keys.tolist(), self.decoding.max_tokens))
        wanted = Wanted(child=child, noise=noise, room=room)
        return generate(self.model, prefix, wanted, self.decoding, self._stop)

    def _closed(self, answers: Written) -> dict[str, Given]:
        """Token columns of answers, each followed by what ends a turn in the chat format, if it did not write that."""
        lengths = answers.offsets.diff()
        silent = answers.stopped.clone()
        silent[answers.stopped] = ~self._stop.special[answers.ids[answers.offsets[1:][answers.stopped] - 1].long()]
        offsets = offsets_of(lengths + len(self._closing) * silent.long())
        place = torch.arange(len(answers.ids)) + (offsets - answers.offsets)[:-1].repeat_interleave(lengths)
        size, closing = int(offsets[-1]), self._closing[0] if self._closing else 0
        role = torch.full((size,), int(Role.FORCED), dtype=torch.int8).index_fill(0, place, int(Role.POLICY))
        return {
            "tokens.id": Ragged(
                torch.full((size,), closing, dtype=torch.int32).index_copy(0, place, answers.ids), offsets
            ),
            "tokens.role": Ragged(role, offsets),
            "tokens.train": Ragged(role == int(Role.POLICY), offsets),
            "tokens.log_prob": Ragged(torch.zeros(size).index_copy(0, place, answers.log_prob), offsets),
        }

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Log-probability of every token of the given rows, 0 where the policy did not choose it; differentiable.

        Every token that the rows depend on is computed once, see `tree.training.Trees`.
        """
        return self._trees(forest, rows).log_prob()

    def push(self, forest: Forest, rows: Tensor, slope: Tensor) -> None:
        """Add to the gradients of the weights, given d loss / d `log_prob(forest, rows)`."""
        self._trees(forest, rows).push(slope)

    def sharing(self, forest: Forest, rows: Tensor) -> Mapping[str, float]:
        """Tokens with and without repetition, and how many trees are trained in which way."""
        return self._trees(forest, rows).numbers()

    def directions(self, forest: Forest, rows: Tensor) -> Tensor:
        """Sum of the gradient directions of the tokens that the policy chose in each row, see `Trees.directions`."""
        asked = self._trees(forest, rows)
        token_row = forest.ragged("tokens.id").select(rows).row[asked.layout.targets.place]
        found = asked.directions()
        return found.new_zeros(len(rows), found.shape[1]).index_add(0, token_row, found)

    def _trees(self, forest: Forest, rows: Tensor) -> Trees:
        machine = dataclasses.replace(Machine.of(self.model, self.memory_bytes), room=self.tokens_at_once)
        return Trees.of(
            self.model, forest, rows, temperature=self.decoding.temperature, machine=machine, training=self.training
        )

    def greedy(self) -> CausalLM:
        """The same weights, taking the likeliest token each time; the log-probabilities stay those of the softmax."""
        return dataclasses.replace(self, decoding=dataclasses.replace(self.decoding, top_p=SMALLEST_NUCLEUS))

    # ---- the learner protocol ----

    @property
    def context(self) -> int:
        """Tokens that a trajectory may have in all; one that would be longer ends with TOKEN_LIMIT."""
        config = self.model.config
        known = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions"))
        return next((int(size) for size in known if size), UNLIMITED)

    @property
    def tokens_at_once(self) -> int:
        """Tokens whose graph fits in memory together."""
        return Machine.of(self.model, self.memory_bytes).room

    def trainable(self) -> Mapping[str, Tensor]:
        """Parameters that receive gradients, by name."""
        return weights.trainable(self.model)

    def advance(self) -> None:
        """Count one update."""
        self.version += 1

    def restore(self, tensors: Mapping[str, Tensor], version: int) -> None:
        """Load the trainable parameters and the number of updates they have seen."""
        weights.restore(self.model, tensors)
        self.version = version


def _token_columns(ids: Ragged, role: Role, *, train: bool) -> dict[str, Given]:
    size = len(ids.values)
    return {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.full((size,), int(role), dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.full((size,), train), ids.offsets),
    }


def _cached_per_token(model: Any) -> int:
    """Numbers that a cache holds for one token."""
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head_size(config)
