"""Who the agent talks to: a script, a script that loses patience, or a chat model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from milepost import checks, keys
from milepost.part import Chat, ChatRequest

AGENT, USER = "assistant", "user"
Said = tuple[str, str]
"""Who said something, `AGENT` or `USER`, and what."""
THANKS = "Thank you, that is all."
YES = "Yes, please go ahead."
AGAIN = "I already told you: {}"
STOP = "###STOP###"
"""What a chat model writes when its errand is done, as tau2 has it."""
PROMPT = (
    "You are a customer who talks to the service desk of a company. This is your errand, which only you know:\n{}\n\n"
    "Say one short thing at a time, in your own words, and only what belongs to the errand. Answer what you are asked; "
    f"what you do not know you do not invent. When the errand is done, or cannot be done, write {STOP} alone."
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the user says next."""

    text: str
    stops: bool = False
    """Whether the user leaves."""
    failed: str = ""
    """Why there is nothing, where no answer could be had."""


class User(Protocol):
    """Says what comes next. All that it knows is the task's record and what was said so far."""

    def reply(self, record: Mapping[str, Any], said: Sequence[Said], key: int) -> Reply:
        """The user's next words; at the beginning nothing was said."""
        ...


def untold(record: Mapping[str, Any], said: Sequence[Said]) -> tuple[str, ...]:
    """Needs of a task that the user has not uttered yet.

    Args:
        record: holds "needs".
        said: the conversation.

    Returns:
        The rest of the needs, in order.
    """
    spoken = {text for who, text in said if who == USER}
    return tuple(one for one in record["needs"] if one not in spoken)


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """Utters one need per turn, confirms what is asked, and leaves once everything was uttered. No model is needed.

    An agent that asks the very same thing twice is told that it was told. Implements `User`.

    Example:
        >>> Scripted().reply({"needs": ["Cancel it.", "I am Ann."]}, [("user", "Cancel it."), ("assistant", "Who?")], 0)
        Reply(text='I am Ann.', stops=False, failed='')
    """

    def reply(self, record: Mapping[str, Any], said: Sequence[Said], key: int) -> Reply:  # noqa: ARG002
        """The next need, else a yes to a question, else thanks."""
        mine = [text for who, text in said if who == USER and text in record["needs"]]
        theirs = [text for who, text in said if who == AGENT]
        rest = untold(record, said)
        asked = bool(theirs) and theirs[-1].rstrip().endswith("?")
        if asked and theirs[-1] in theirs[:-1] and mine:
            return Reply(text=AGAIN.format(mine[-1]))
        if rest:
            return Reply(text=rest[0])
        if asked:
            return Reply(text=YES)
        return Reply(text=THANKS, stops=True)


@dataclass(frozen=True, kw_only=True)
class Hasty:
    """A user who may leave early: before each need but the first it leaves with a chance. Implements `User`.

    Example:
        >>> Hasty(user=Scripted(), rate=1.0).reply({"needs": ["a", "b"]}, [("user", "a"), ("assistant", "?")], 0).stops
        True
    """

    user: User
    rate: float = 0.1
    """Chance of leaving before a need is uttered."""

    def __post_init__(self) -> None:
        """Check the rate."""
        checks.within("rate", self.rate, 0.0, 1.0)

    def reply(self, record: Mapping[str, Any], said: Sequence[Said], key: int) -> Reply:
        """What the other user says, or a farewell."""
        answer = self.user.reply(record, said, key)
        drawn = float(keys.uniform([keys.fold(key, "hasty", len(said))], 1)[0, 0])
        leaves = bool(said) and answer.text in untold(record, said) and drawn < self.rate
        return Reply(text="I have to go now.", stops=True) if leaves else answer


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A chat model plays the user, from the task's scenario. Implements `User`."""

    chat: Chat
    temperature: float = 0.0
    max_tokens: int = 160

    def __post_init__(self) -> None:
        """Check the numbers."""
        checks.non_negative("temperature", self.temperature)
        checks.at_least("max_tokens", self.max_tokens, 1)

    def reply(self, record: Mapping[str, Any], said: Sequence[Said], key: int) -> Reply:
        """What the model says in the customer's place."""
        errand = record.get("scenario") or record["needs"]
        text = errand if isinstance(errand, str) else json.dumps(errand, ensure_ascii=False, indent=1)
        swapped = {AGENT: "user", USER: "assistant"}
        opening = {"role": "user", "content": "How can I help you?"}
        spoken = [{"role": swapped[who], "content": words} for who, words in said]
        request = ChatRequest(
            messages=({"role": "system", "content": PROMPT.format(text)}, opening, *spoken),
            prompt="customer@1",
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=keys.seed_of(key),
        )
        answer = self.chat.reply([request])[0]
        if answer.end not in ("stop", "length") or not answer.text.strip():
            return Reply(text="", stops=True, failed=answer.detail or f"the model's reply ended by {answer.end!r}")
        words, stop, _ = answer.text.partition(STOP)
        return Reply(text=words.strip() or THANKS, stops=bool(stop))
