"""From what a model replied to what can be used of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from milepost.errors import FormatError
from milepost.part import ChatReply
from milepost.rewards import failure
from milepost.rewards.judging.judge import Cost, Judgement

One = TypeVar("One")
Other = TypeVar("Other")

_CODES = {"length": "truncated", "timeout": "reward_timeout", "absent": "not_run"}
_TOLD = {"length": "the reply was cut off", "refused": "the judge refused"}


def cost_of(reply: ChatReply) -> Cost:
    """What a reply cost."""
    return Cost(calls=reply.calls, tokens=reply.tokens, seconds=reply.seconds)


def unusable_reason(reply: ChatReply) -> str | None:
    """Why a reply holds no whole answer, as a code of `columns.REASONS` with a detail; None where it does."""
    if reply.end == "stop":
        return None
    told = ": ".join(filter(None, (_TOLD.get(reply.end), reply.detail)))
    return failure.reason(_CODES.get(reply.end, "reward_error"), told)


def read(reply: ChatReply, parse: Callable[[str], One]) -> Judgement[One]:
    """Read a reply strictly.

    Args:
        reply: what came back.
        parse: gives the answer of a whole reply, or raises `FormatError`.

    Returns:
        The answer, or why the reply is unusable; with its cost either way.
    """
    reason = unusable_reason(reply)
    if reason is None:
        try:
            return Judgement(answer=parse(reply.text), explanation=reply.text, cost=cost_of(reply))
        except FormatError as error:
            reason = failure.reason("reward_error", f"the reply cannot be read: {error}")
    return Judgement(answer=None, unusable=reason, explanation=reply.text, cost=cost_of(reply))


def both(one: Judgement[One], other: Judgement[One], join: Callable[[One, One], Other]) -> Judgement[Other]:
    """Join two judgements of one case.

    Args:
        one: the first.
        other: the second.
        join: the answer of both, or `FormatError` where they cannot be reconciled.

    Returns:
        The joint answer; unusable where one of the two is, or where they contradict each other.
    """
    cost, reason = one.cost + other.cost, one.unusable or other.unusable
    told = f"{one.explanation}\n\n{other.explanation}"
    if one.answer is None or other.answer is None:
        return Judgement(answer=None, unusable=reason, explanation=told, cost=cost)
    try:
        return Judgement(answer=join(one.answer, other.answer), explanation=told, cost=cost)
    except FormatError as error:
        return Judgement(answer=None, unusable=failure.reason("reward_error", str(error)), explanation=told, cost=cost)
