"""verl's servers of a language model as a policy: what an agent loop of milepost's grows trees with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from milepost.columns import End, Role
from milepost.errors import SettingError
from milepost.forest import Forest, Given
from milepost.part import Observation, Proposals
from milepost.policies.prompting import Prompting
from milepost.ragged import Ragged

Generate = Callable[..., Awaitable[Any]]
"""`server_manager.generate(request_id, *, prompt_ids, sampling_params)` of verl's agent loops."""


@dataclass(kw_only=True, eq=False)
class Served:
    """A policy whose answers come from verl's servers. It samples only: verl trains the weights.

    It is called outside of the event loop, in a thread, and asks for all rows at once. The seed of an answer is the key
    of its step, so what is drawn does not depend on what else is asked for, where the server honours seeds.
    """

    generate: Generate
    loop: asyncio.AbstractEventLoop
    """Where `generate` runs."""
    tokenizer: Any
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """verl's sampling parameters."""
    tokens: int = 512
    """Of one answer at most; one that reaches it ends with TOKEN_LIMIT."""
    version: int = 0

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Token columns of what the environment said."""
        prompting = Prompting(tokenizer=self.tokenizer)
        ids = Ragged.of([prompting.tokens(one, start=start) for one in observations], torch.int32)
        return _columns(ids, Role.PROMPT if start else Role.OBSERVATION)

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Ask the servers for one answer to each row.

        Raises:
            SettingError: the servers bring no log-probabilities.
        """
        pending = asyncio.run_coroutine_threadsafe(self._answers(forest, rows, keys), self.loop)
        answers = pending.result()
        if any(answer.log_probs is None or len(answer.log_probs) != len(answer.token_ids) for answer in answers):
            raise SettingError(
                "verl's servers brought no log-probability for each token: set "
                "actor_rollout_ref.rollout.calculate_log_probs=True."
            )
        ids = Ragged.of([list(answer.token_ids) for answer in answers], torch.int32)
        log_prob = Ragged.of([list(answer.log_probs) for answer in answers], torch.float32)
        cut = ids.lengths >= self.tokens
        columns: dict[str, Given] = {
            **_columns(ids, Role.POLICY),
            "tokens.log_prob": log_prob,
            "text": self.tokenizer.batch_decode([list(one.token_ids) for one in answers], skip_special_tokens=True),
            "end": torch.where(cut, int(End.TOKEN_LIMIT), int(End.OPEN)).to(torch.int8),
            "cost.model_calls": torch.ones(len(rows), dtype=torch.float64),
            "cost.tokens": ids.lengths.double(),
        }
        return Proposals(parent=rows, columns=columns)

    async def _answers(self, forest: Forest, rows: Tensor, keys: Tensor) -> list[Any]:
        ids = forest.ragged("tokens.id")
        asked: list[Awaitable[Any]] = []
        for row, key in zip(rows.tolist(), keys.tolist(), strict=True):
            prompt = [token for step in forest.path(row).tolist() for token in ids[step].tolist()]
            name = hashlib.blake2b(f"{key}".encode(), digest_size=16).hexdigest()
            sampling = {**self.sampling, "seed": key % 2**31, "max_tokens": self.tokens}
            asked.append(self.generate(request_id=name, prompt_ids=prompt, sampling_params=sampling))
        return list(await asyncio.gather(*asked))

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Not known here.

        Raises:
            SettingError: always.
        """
        del forest, rows
        raise SettingError("verl's servers answer and do not compare: log-probabilities are known while sampling only.")


def _columns(ids: Ragged, role: Role) -> dict[str, Given]:
    size = len(ids.values)
    return {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.full((size,), int(role), dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.full((size,), role is Role.POLICY), ids.offsets),
    }
