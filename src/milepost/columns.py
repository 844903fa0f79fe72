"""The columns a forest may have: name, kind, type, owner and meaning. Imports no torch, so that files can be read
without it.

Kinds: `number` is one value (or one dense array) per step, `text` a string per step, `token` a ragged column below
steps that shares the token offsets with all other token columns. A family is written with a star: `reward.*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from milepost.errors import ColumnError, unknown_name


class Role(IntEnum):
    """Who wrote a token."""

    PROMPT = 0
    POLICY = 1
    INSERTED = 2
    OBSERVATION = 3
    FORCED = 4


class Origin(IntEnum):
    """Who made a step."""

    POLICY = 0
    INSERTED = 1
    TEACHER = 2
    DEMONSTRATION = 3
    ENVIRONMENT = 4


class End(IntEnum):
    """Why a trajectory ends at this step; `OPEN` where it goes on or may still grow."""

    OPEN = 0
    TERMINATED = 1
    TURN_LIMIT = 2
    TOKEN_LIMIT = 3
    BUDGET = 4
    TIME_LIMIT = 5
    PRUNED = 6
    VOID = 7
    ERROR = 8


REASONS = ("reward_timeout", "reward_error", "truncated", "sandbox_limit", "environment_error", "cancelled", "not_run")
"""Closed list of codes that a `reason.*` value starts with; a detail may follow after ': '."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What is known of a column: its kind, element type, the stage that writes it, and its meaning."""

    name: str
    kind: str
    dtype: str
    owner: str
    doc: str
    checked: bool = False
    """Values must be finite wherever they are valid."""


def _column(name: str, kind: str, dtype: str, owner: str, doc: str, *, checked: bool = False) -> tuple[str, Column]:
    return name, Column(name=name, kind=kind, dtype=dtype, owner=owner, doc=doc, checked=checked)


COLUMNS: dict[str, Column] = dict(
    (
        _column(
            "parent", "number", "int64", "sampling", "row of the step before; -1 for a root; smaller than the own row"
        ),
        _column("task", "text", "string", "sampling", "content-stable id of the task"),
        _column("record", "text", "string", "sampling", "JSON of the task (on roots): enough to score the tree again"),
        _column(
            "draw", "number", "int64", "sampling", "number of this draw of the task: one task drawn twice is two roots"
        ),
        _column("origin", "number", "int8", "sampling", "who made the step, see Origin"),
        _column("key", "number", "int64", "sampling", "key from which the randomness of the step was drawn"),
        _column("branch_of", "number", "int64", "sampling", "key of the step whose place an inserted step takes"),
        _column("policy_version", "number", "int64", "sampling", "number of updates the sampling policy had seen"),
        _column("end", "number", "int8", "sampling", "why the trajectory ends here, see End"),
        _column(
            "discount",
            "number",
            "float32",
            "sampling",
            "0 at termination, unchanged at truncation, in [0, 1]",
            checked=True,
        ),
        _column("tokens.id", "token", "int32", "sampling", "token id"),
        _column("tokens.role", "token", "int8", "sampling", "who wrote the token, see Role"),
        _column("tokens.train", "token", "bool", "sampling", "whether the loss may touch the token"),
        _column(
            "tokens.log_prob",
            "token",
            "float32",
            "sampling",
            "log-probability under the sampling policy, in nats",
            checked=True,
        ),
        _column(
            "tokens.drawn_log_prob",
            "token",
            "float32",
            "sampling",
            "log-probability with which an inserted token was drawn from its pool, in nats",
            checked=True,
        ),
        _column("text", "text", "string", "sampling", "what was said, decoded"),
        _column("reflection", "text", "string", "sampling", "JSON of what was found wrong with a finished trajectory"),
        _column("call", "text", "string", "sampling", "JSON of the tool call made"),
        _column("result", "text", "string", "sampling", "what the tool or the environment answered"),
        _column("action", "number", "any", "sampling", "action that led to the step", checked=True),
        _column("observation", "number", "any", "sampling", "observation arrived at", checked=True),
        _column("latent", "number", "any", "sampling", "latent arrived at", checked=True),
        _column("time", "number", "float32", "sampling", "time arrived at, 1 is noise", checked=True),
        _column("mean", "number", "any", "sampling", "mean of the transition", checked=True),
        _column("std", "number", "any", "sampling", "standard deviation of the transition", checked=True),
        _column(
            "completion", "number", "any", "sampling", "clean latent reached from here without noise", checked=True
        ),
        _column(
            "estimate", "number", "any", "sampling", "clean latent that the model foresees from here", checked=True
        ),
        _column(
            "shift", "number", "any", "sampling", "what guidance added to the mean of the transition", checked=True
        ),
        _column("stochastic", "number", "bool", "sampling", "whether the transition has a density"),
        _column(
            "log_prob",
            "number",
            "float32",
            "sampling",
            "log-probability of the step under the sampling policy, in nats",
            checked=True,
        ),
        _column(
            "reward.*", "number", "float32", "rewards", "one reward of the step, valid where ok.* is true", checked=True
        ),
        _column("ok.*", "number", "bool", "rewards", "whether the reward of that name counts"),
        _column(
            "reason.*", "text", "string", "rewards", "why the reward does not count: a code of REASONS and a detail"
        ),
        _column("value", "number", "float32", "credit", "value of the state arrived at", checked=True),
        _column("return", "number", "float32", "credit", "return from the step on", checked=True),
        _column("advantage", "number", "float32", "credit", "credit of the step", checked=True),
        _column("keep", "number", "bool", "curation", "whether the step is kept"),
        _column("weight", "number", "float32", "curation", "weight of the step", checked=True),
        _column("label.*", "text", "string", "curation", "a label of the step"),
        _column("signal.*", "number", "int64", "curation", "signals of that kind in the trajectory that ends here"),
        _column(
            "inclusion", "number", "float64", "curation", "probability with which the step was selected", checked=True
        ),
        _column(
            "cost.*",
            "number",
            "float64",
            "anyone",
            "what the step cost: model_calls, reward_calls, tokens, environment_steps, seconds",
            checked=True,
        ),
        _column("feature.*", "number", "any", "anyone", "vector that describes the step", checked=True),
        _column("extra.*", "number", "any", "anyone", "a column of the user's own"),
        _column("extra_text.*", "text", "string", "anyone", "a text column of the user's own"),
    )
)


def spec(name: str) -> Column:
    """Return what is known of a column.

    Args:
        name: full column name, such as "reward.outcome".

    Returns:
        The column's record; for a member of a family, the family's record.

    Raises:
        ColumnError: no such column or family.
    """
    found = COLUMNS.get(name)
    if found is None and "." in name:
        family, _, member = name.partition(".")
        found = COLUMNS.get(f"{family}.*") if member else None
    if found is None:
        hint = unknown_name("column", name, COLUMNS)
        raise ColumnError(
            f"{hint} Use the prefix 'extra.' (numbers) or 'extra_text.' (strings) for a column of your own."
        )
    return found
