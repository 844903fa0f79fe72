"""A model behind a server as a policy: it can be sampled from, not trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn, cast

import torch
from torch import Tensor

from milepost import keys as key_streams
from milepost.columns import End, Role
from milepost.errors import SettingError
from milepost.forest import Forest, Given
from milepost.part import Chat, ChatReply, ChatRequest, Observation, Proposals
from milepost.policies.decoding import Decoding
from milepost.ragged import Ragged

_ENDS = {"stop": End.OPEN, "length": End.TOKEN_LIMIT}


@dataclass(kw_only=True, eq=False)
class Endpoint:
    """Proposals from a chat model, such as a `server.Server`. Implements `part.Policy`; there is nothing to train.

    Tokens are the bytes of what was said, in UTF-8, so that the path holds everything: the server's own tokens are not
    known. `log_prob` is the sum of the log-probabilities that the server gives for its tokens, missing where it gives
    none. A step for which no answer could be had ends in ERROR, which no reward scores.
    """

    chat: Chat
    decoding: Decoding
    """Temperature and length are asked for; a stop string ends what is kept of a reply. The nucleus is the server's."""
    likeliest: bool = False
    """Whether the temperature asked for is 0."""
    version: int = 0

    def __post_init__(self) -> None:
        """Check that the server is not asked for a nucleus."""
        if self.decoding.top_p < 1.0:
            raise SettingError(f"top_p={self.decoding.top_p} cannot be asked of a server here: set top_p=1.")

    def encode(self, observations: Sequence[Observation], *, start: bool) -> Mapping[str, Given]:
        """Bytes of what the environment said: messages as JSON at the start, text later."""
        said = [_opening(one) if start else _following(one) for one in observations]
        return _columns(said, Role.PROMPT if start else Role.OBSERVATION)

    def propose(self, forest: Forest, rows: Tensor, keys: Tensor) -> Proposals:
        """Ask for one answer per row; the key becomes the request's seed."""
        requests = [
            ChatRequest(
                messages=conversation(forest, row),
                prompt="policy",
                max_tokens=self.decoding.max_tokens,
                temperature=0.0 if self.likeliest else self.decoding.temperature,
                seed=key_streams.seed_of(key),
                log_probs=True,
            )
            for row, key in zip(rows.tolist(), keys.tolist(), strict=True)
        ]
        replies = self.chat.reply(requests)
        texts = [self._cut(reply) for reply in replies]
        columns: dict[str, Given] = {
            **_columns(texts, Role.POLICY),
            "text": texts,
            "log_prob": [_log_prob(reply, text) for reply, text in zip(replies, texts, strict=True)],
            "end": [int(_end(reply, text, self.decoding.stop)) for reply, text in zip(replies, texts, strict=True)],
            "cost.model_calls": torch.tensor([reply.calls for reply in replies], dtype=torch.float64),
            "cost.tokens": torch.tensor([reply.tokens for reply in replies], dtype=torch.float64),
        }
        return Proposals(parent=rows, columns=columns)

    def log_prob(self, forest: Forest, rows: Tensor) -> Tensor:
        """Refused: a server gives no gradient; what it said of sampled steps stands in the column `log_prob`."""
        _untrainable(f"log-probabilities of {len(rows)} of {len(forest)} steps")

    def trainable(self) -> Mapping[str, Tensor]:
        """Refused: there are no weights here."""
        _untrainable("weights to train")

    def greedy(self) -> Endpoint:
        """The same model at temperature 0."""
        return replace(self, likeliest=True)

    def _cut(self, reply: ChatReply) -> str:
        """What is kept of a reply: up to and with the first stop string."""
        if reply.end not in ("stop", "length"):
            return ""
        ends = [reply.text.find(stop) + len(stop) for stop in self.decoding.stop if stop in reply.text]
        return reply.text[: min(ends, default=len(reply.text))]


def conversation(forest: Forest, row: int) -> tuple[Mapping[str, str], ...]:
    """Messages of the path to a row: the prompt, what the policy said, what the environment answered.

    Args:
        forest: with the token columns that `Endpoint` writes.
        row: where the path ends.

    Returns:
        Chat messages, ready for the policy's next answer.
    """
    root, *steps = forest.path(row).tolist()
    ids, roles = forest.ragged("tokens.id"), forest.ragged("tokens.role")
    messages: list[Mapping[str, str]] = list(json.loads(_text(ids[root])))
    for step in steps:
        mine = roles[step] == int(Role.POLICY)
        for speaker, part in (("assistant", ids[step][mine]), ("user", ids[step][~mine])):
            if len(part):
                messages.append({"role": speaker, "content": _text(part)})
    return tuple(messages)


def _untrainable(what: str) -> NoReturn:
    raise SettingError(
        f"An endpoint was asked for {what}, but a model behind a server can only be sampled from. To train, load the "
        "model in this process (`--model FOLDER`), or take the recipe to a trainer that holds the server's weights."
    )


def _end(reply: ChatReply, text: str, stop: tuple[str, ...]) -> End:
    if stop and text.endswith(stop):
        return End.OPEN
    return _ENDS.get(reply.end, End.ERROR)


def _log_prob(reply: ChatReply, text: str) -> float | None:
    return sum(reply.log_probs) if reply.log_probs and text == reply.text else None


def _opening(observation: Observation) -> str:
    messages = [dict(one) for one in observation.messages] or [{"role": "user", "content": observation.text or ""}]
    return json.dumps(messages, ensure_ascii=False)


def _following(observation: Observation) -> str:
    if observation.text is not None:
        return observation.text
    return "\n".join(str(message["content"]) for message in observation.messages)


def _text(ids: Tensor) -> str:
    return bytes(cast("list[int]", ids.tolist())).decode("utf-8")


def _columns(texts: Sequence[str], role: Role) -> dict[str, Any]:
    ids = Ragged.of([list(text.encode("utf-8", "replace")) for text in texts], torch.int32)
    size = len(ids.values)
    return {
        "tokens.id": ids,
        "tokens.role": Ragged(torch.full((size,), int(role), dtype=torch.int8), ids.offsets),
        "tokens.train": Ragged(torch.zeros(size, dtype=torch.bool), ids.offsets),
    }
