"""A language model in this process as something that answers messages."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from milepost import keys
from milepost.columns import End, Role
from milepost.forest import Forest
from milepost.part import ChatReply, ChatRequest, Observation
from milepost.policies.causal_lm import CausalLM
from milepost.ragged import Ragged


@dataclass(kw_only=True, eq=False)
class LocalChat:
    """A causal language model that answers messages, or says how likely given answers are. Implements `part.Chat`.

    What it answers depends on the request alone: at a temperature above 0 the randomness comes from what is asked.
    """

    policy: CausalLM
    """Its stop strings hold; length and temperature come from the request."""
    name: str
    """Name of the model, for caches."""

    @property
    def model(self) -> str:
        """The model's name and the number of updates it has seen."""
        return f"{self.name}#{self.policy.version}"

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Answer requests of equal length and temperature together; see `part.Chat`."""
        found: dict[int, ChatReply] = {}
        groups: dict[tuple[int, float], list[int]] = {}
        for place, request in enumerate(requests):
            if request.choices:
                found[place] = self._compare(request)
            else:
                groups.setdefault((request.max_tokens, request.temperature), []).append(place)
        for places in groups.values():
            found |= dict(zip(places, self._write([requests[place] for place in places]), strict=True))
        return [found[place] for place in range(len(requests))]

    def _write(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        began, first = time.monotonic(), requests[0]
        decoding = replace(self.policy.decoding, max_tokens=first.max_tokens, temperature=first.temperature or 1.0)
        writer = replace(self.policy, decoding=decoding)
        writer = writer if first.temperature > 0 else writer.greedy()
        asked = self._asked(requests)
        drawn = [keys.fold(keys.root(request.seed), "reply", keys.digest(vars(request))) for request in requests]
        proposals = writer.propose(asked, asked.roots(), torch.tensor(drawn))
        said = Forest.of([-1] * len(requests), proposals.columns)
        read, seconds = asked.ragged("tokens.id").lengths, (time.monotonic() - began) / len(requests)
        log_probs = said.ragged("tokens.log_prob")
        return [
            ChatReply(
                end="stop" if int(said["end"][row]) == int(End.OPEN) else "length",
                text=said.text("text")[row] or "",
                log_probs=tuple(log_probs[row].tolist()),
                tokens=int(read[row]) + len(log_probs[row]),
                seconds=seconds,
            )
            for row in range(len(requests))
        ]

    @torch.no_grad()
    def _compare(self, request: ChatRequest) -> ChatReply:
        """Log-probability of every choice as the beginning of the answer, at temperature 1."""
        began = time.monotonic()
        reader = replace(self.policy, decoding=replace(self.policy.decoding, temperature=1.0))
        tokens = [self.policy.tokenizer.encode(choice, add_special_tokens=False) for choice in request.choices]
        ids = Ragged.of(tokens, torch.int32)
        chosen = torch.full((len(ids.values),), int(Role.POLICY), dtype=torch.int8)
        columns = {"tokens.id": ids, "tokens.role": Ragged(chosen, ids.offsets)}
        asked = self._asked([request]).append([0] * len(tokens), columns)
        rows = torch.arange(1, len(asked))
        each = Ragged(reader.log_prob(asked, rows).double(), ids.offsets)
        total = tuple(math.fsum(each[row].tolist()) for row in range(len(tokens)))
        spent = int(asked.ragged("tokens.id").lengths.sum())
        return ChatReply(end="stop", choices=total, tokens=spent, seconds=time.monotonic() - began)

    def _asked(self, requests: Sequence[ChatRequest]) -> Forest:
        observations = [Observation(messages=request.messages) for request in requests]
        return Forest.of([-1] * len(requests), self.policy.encode(observations, start=True))
