"""Whether a conversation fulfilled its constraints, by its effects, with a reason for each that it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from milepost import checks
from milepost.columns import End
from milepost.curation.constraints.constraint import (
    Constraint,
    Database,
    Reference,
    entity,
    normalised,
    value,
)
from milepost.errors import SettingError

Blame = Literal["", "agent", "user_simulator", "turn_cap", "tool_error", "reference"]
"""Who is at fault where not all is fulfilled; "" where it is. reference: the task's own plan fails."""
Called = tuple[str, Mapping[str, Any]]
"""Name of a tool and its arguments."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a conversation came to."""

    score: float
    """In [0, 1]; 1 only if all is fulfilled and nothing is redundant."""
    reasons: tuple[str, ...]
    """Of each constraint why it is not fulfilled, "" where it is."""
    redundant: tuple[str, ...]
    """Calls that wrote and were asked for by no constraint, or by one that had its call already."""
    blame: Blame

    @property
    def kept(self) -> bool:
        """Whether it may be learned from."""
        return self.blame == ""

    @property
    def why(self) -> str:
        """Why it is rejected; "" where it is not."""
        told = [one for one in self.reasons if one] + [f"redundant: {one}" for one in self.redundant]
        return f"{self.blame}: {'; '.join(told) or 'nothing else is wrong'}" if self.blame else ""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a verifier looks at."""

    calls: tuple[Called, ...]
    """Of the agent, in order."""
    untold: int = 0
    """Needs that the user never uttered."""
    end: End = End.TERMINATED


def constraint_score(fulfilled: Sequence[bool], redundant: int) -> float:
    """Score of a conversation.

        S = clip(1/n sum_i sat_i - redundant / n, 0, 1)

    Args:
        fulfilled: whether each constraint is.
        redundant: calls that wrote without need.

    Returns:
        A number in [0, 1]; 1 exactly if all are fulfilled and nothing is redundant.

    Raises:
        SettingError: there is no constraint.

    Source: CoVe; the exact formula is unpublished, this is milepost's.
    """
    if not fulfilled:
        raise SettingError("There are no constraints: a set of at least one is expected, or everything would pass.")
    return min(max((sum(fulfilled) - redundant) / len(fulfilled), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Carries out a conversation's calls and looks at what they changed; any path to the effects counts.

        sat_i = the fields of constraint i have their values in the end, and a call that wrote belongs to it

    Where the effect of a call cannot be seen in the end, the call itself must be made with its arguments. A call that
    wrote belongs to a constraint with the same tool and entity, one call to each; equal arguments first.
    Calls that read never matter, nor does the order of calls that commute.

    Source: CoVe, rule-based verification.
    """

    database: Database
    count_failed_writes: bool = False
    """Whether a call that should write and was refused is redundant too."""

    def __call__(self, wanted: Reference, record: Mapping[str, Any], found: Conversation) -> Outcome:
        """Verify a conversation.

        Args:
            wanted: the constraints.
            record: of the task.
            found: what was done.

        Returns:
            The outcome.

        Raises:
            SettingError: there is no constraint.
        """
        snapshot = self.database.start(record)
        wrote: list[Called] = []
        refused: list[str] = []
        for name, arguments in found.calls:
            answer = self.database.call(snapshot, name, arguments)
            if self.database.writes(name):
                if answer.failed:
                    refused.append(f"{name}({entity(arguments)}) was refused: {answer.text}")
                else:
                    wrote.append((name, arguments))
            snapshot = answer.snapshot
        owners = attributed(wanted.constraints, wrote)
        made = {owner: arguments for owner, (_, arguments) in zip(owners, wrote, strict=True) if owner is not None}
        reasons = tuple(self._wrong(one, made.get(number), snapshot) for number, one in enumerate(wanted.constraints))
        redundant = [
            f"{name}({entity(arguments)})"
            for (name, arguments), owner in zip(wrote, owners, strict=True)
            if owner is None
        ]
        redundant += refused if self.count_failed_writes else []
        score = constraint_score([not one for one in reasons], len(redundant))
        return Outcome(
            score=score,
            reasons=reasons,
            redundant=tuple(redundant),
            blame=_blame(wanted, found, score),
        )

    def _wrong(self, one: Constraint, called: Mapping[str, Any] | None, snapshot: str) -> str:
        name = f"{one.kind}({one.entity})"
        if called is None:
            return f"{name} was not done"
        if one.to_the_letter and normalised(dict(called)) != normalised(dict(one.arguments)):
            return f"{name} was done with {_short(called)}, expected {_short(one.arguments)}"
        for field, expected in one.effect.items():
            actual = value(self.database, snapshot, field)
            if normalised(actual) != normalised(expected):
                return f"{name}: {field[2]} is {_short(actual)}, expected {_short(expected)}"
        return ""


def attributed(constraints: Sequence[Constraint], wrote: Sequence[Called]) -> list[int | None]:
    """Which constraint each call that wrote belongs to; None for one that nobody asked for.

    Args:
        constraints: the set.
        wrote: calls, in order.

    Returns:
        One number of a constraint or None per call; no constraint owns two.
    """
    owners: list[int | None] = [None] * len(wrote)
    free = set(range(len(constraints)))
    for exact in (True, False):
        for place, (name, arguments) in enumerate(wrote):
            if owners[place] is not None:
                continue
            for number in sorted(free):
                one = constraints[number]
                same = one.kind == name and one.entity == entity(arguments)
                if same and (not exact or normalised(dict(one.arguments)) == normalised(dict(arguments))):
                    owners[place] = number
                    free.discard(number)
                    break
    return owners


def _blame(wanted: Reference, found: Conversation, score: float) -> Blame:
    if not wanted.sound:
        return "reference"
    if found.untold and found.end == End.TERMINATED:
        return "user_simulator"  # also where nothing is wrong: what was not uttered cannot be learned to be done
    if score >= 1.0:
        return ""
    if found.end in (End.TURN_LIMIT, End.TOKEN_LIMIT, End.BUDGET, End.TIME_LIMIT):
        return "turn_cap"
    if found.end in (End.ERROR, End.VOID):
        return "tool_error"
    return "agent"


def _short(given: Any) -> str:
    text = str(given)
    return text if len(text) <= 60 else f"{text[:60]}..."


def rejected_share(outcomes: Sequence[Outcome], blame: Blame) -> float:
    """Share of the outcomes that are rejected for a reason.

    Args:
        outcomes: of conversations.
        blame: the reason.

    Returns:
        A number in [0, 1]; 0 for no outcomes.

    Raises:
        SettingError: `blame` is no reason.
    """
    checks.one_of("blame", blame, ("", "agent", "user_simulator", "turn_cap", "tool_error", "reference"))
    return sum(one.blame == blame for one in outcomes) / len(outcomes) if outcomes else 0.0
