"""What a model reads: the tokens of a prompt at the start of a task, and of an observation after a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from milepost.part import Observation

_MARK = "\ue000{}\ue001"
"""Stands for the text of a message while a template is rendered; private characters, which no tokenizer knows."""


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """Renders observations with the tokenizer's chat template, or as plain lines where it has none.

    Without a template a prompt is the beginning-of-text token, the text and a line end; an observation is a line end,
    the text and a line end. What the environment says never becomes a special token: text such as `<|im_end|>` inside
    a message is read as its characters, so a task cannot forge the end of a turn.
    """

    tokenizer: Any

    def tokens(self, observation: Observation, *, start: bool) -> list[int]:
        """Token ids of an observation.

        Args:
            observation: its messages, or its text as one message of the user; the text alone if it `continues`.
            start: whether it begins a task.

        Returns:
            Token ids, ready for the policy's answer to follow.
        """
        if observation.continues:
            return self._harmless(observation.text or "")
        if self.tokenizer.chat_template is None:
            return self._plain(observation, start=start)
        messages = list(observation.messages) or [{"role": "user", "content": observation.text or ""}]
        return self._chat(messages) if start else self._turn(messages)

    def _plain(self, observation: Observation, *, start: bool) -> list[int]:
        text = observation.text
        if text is None:
            text = "\n".join(str(message["content"]) for message in observation.messages)
        first = self.tokenizer.bos_token_id
        lead = "" if start else "\n"
        return ([first] if start and first is not None else []) + self._harmless(f"{lead}{text}\n")

    def closing(self) -> tuple[int, ...]:
        """Return the token that ends a turn in the chat format: an answer that stops without it is closed by it."""
        return () if self.tokenizer.chat_template is None else (int(self.tokenizer.eos_token_id),)

    def _turn(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """What follows an answer: the rest of the template after the token that ends the answer, and the messages."""
        before = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
        known = list(self.tokenizer.apply_chat_template(before, tokenize=True, return_dict=False))
        whole = self._chat([*before, *messages])
        end = self.tokenizer.eos_token_id
        answered = len(known) - known[::-1].index(end) if end in known else len(known)
        return whole[answered:]

    def _chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        special = self.tokenizer.all_special_tokens
        if any(token in str(message["content"]) for message in messages for token in special):
            return self._guarded(messages)
        settings: dict[str, Any] = {"add_generation_prompt": True, "return_dict": False}
        return list(self.tokenizer.apply_chat_template(messages, tokenize=True, **settings))

    def _guarded(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of the rendered template with each text encoded on its own, as harmless characters."""
        marked = [{**message, "content": _MARK.format(place)} for place, message in enumerate(messages)]
        rest = str(self.tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True))
        found: list[int] = []
        for place, message in enumerate(messages):
            head, _, rest = rest.partition(_MARK.format(place))
            found += self.tokenizer.encode(head, add_special_tokens=False)
            found += self._harmless(str(message["content"]))
        return found + list(self.tokenizer.encode(rest, add_special_tokens=False))

    def _harmless(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
