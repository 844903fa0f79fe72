"""What a model reads: the tokens of a prompt at the start of a task, and of an observation after a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from milepost.part import Observation


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """Renders observations with the tokenizer's chat template, or as plain lines where it has none.

    Without a template a prompt is the beginning-of-text token, the text and a line end; an observation is a line end,
    the text and a line end.
    """

    tokenizer: Any

    def tokens(self, observation: Observation, *, start: bool) -> list[int]:
        """Token ids of an observation.

        Args:
            observation: its messages, or its text as one message of the user.
            start: whether it begins a task.

        Returns:
            Token ids, ready for the policy's answer to follow.
        """
        if self.tokenizer.chat_template is None:
            return self._plain(observation, start=start)
        messages = list(observation.messages) or [{"role": "user", "content": observation.text or ""}]
        if start:
            return self._chat(messages)
        before = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
        known = self.tokenizer.apply_chat_template(before, tokenize=True, return_dict=False)
        return self._chat([*before, *messages])[len(known) :]

    def _plain(self, observation: Observation, *, start: bool) -> list[int]:
        text = observation.text
        if text is None:
            text = "\n".join(str(message["content"]) for message in observation.messages)
        if not start:
            return list(self.tokenizer.encode(f"\n{text}\n", add_special_tokens=False))
        first = self.tokenizer.bos_token_id
        return ([] if first is None else [first]) + list(self.tokenizer.encode(f"{text}\n", add_special_tokens=False))

    def _chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        found = self.tokenizer.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=False
        )
        return list(found)
