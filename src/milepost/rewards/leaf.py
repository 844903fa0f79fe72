"""What a reward sees of a trajectory: the task's record, the prompt, and everything the policy wrote on the path."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import torch
from torch import Tensor

from milepost.columns import Role
from milepost.errors import ColumnError, FormatError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One trajectory, from its root to the row that is scored."""

    row: int
    prompt: str
    """The record's "prompt", or the text of the root where the record has none."""
    completion: str
    """Texts of all steps below the root, joined: a branch shares the text before it."""
    record: Mapping[str, Any]
    """The task's record; empty where the root stores none."""
    token_ids: tuple[int, ...] | None
    """Tokens of the steps below the root that a policy or an insertion wrote; None where the forest has no tokens."""
    policy_version: int | None
    """Updates that the sampling policy had seen; None where it is not stored."""
    call: Mapping[str, Any] | None = None
    """What the environment took the last step for, such as {"action": "answer", "answer": "Lima"}; empty where the last
    step made no call, None where no step of the trajectory did."""

    @property
    def references(self) -> tuple[str, ...]:
        """Reference answers: the record's "references", else its "answer", else none."""
        given = self.record.get("references")
        if given is None:
            answer = self.record.get("answer")
            return () if answer is None else (str(answer),)
        if not isinstance(given, list):
            raise FormatError(f"'references' is {type(given).__name__}, expected a list of strings. Mend the record.")
        return tuple(str(item) for item in cast("list[object]", given))


def _text_at(forest: Forest, name: str, row: int) -> str | None:
    if name not in forest:
        return None
    values = forest.columns[name]
    if not isinstance(values, pa.Array):
        raise ColumnError(f"Column {name!r} holds numbers, expected text: write it as a sequence of strings.")
    return cast("str | None", values[row].as_py())


def read_record(text: str | None) -> Mapping[str, Any]:
    """Read the JSON of a task's record.

    Args:
        text: content of the `record` column; None where there is none.

    Returns:
        The record; empty for None.

    Raises:
        FormatError: the text is not a JSON object.
    """
    if text is None:
        return {}
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The record is not JSON: {error}. Received {text[:80]!r}.") from error
    if not isinstance(found, dict):
        raise FormatError(f"The record is {type(found).__name__}, expected a JSON object. Received {text[:80]!r}.")
    return cast("dict[str, Any]", found)


def _tokens(forest: Forest, steps: list[int]) -> tuple[int, ...] | None:
    if forest.token_offsets is None or "tokens.id" not in forest:
        return None
    ids, roles = forest.ragged("tokens.id"), forest.ragged("tokens.role") if "tokens.role" in forest else None
    found: list[int] = []
    for step in steps:
        own = ids[step]
        if roles is not None:
            own = own[(roles[step] != int(Role.PROMPT)) & (roles[step] != int(Role.OBSERVATION))]
        found += cast("list[int]", own.tolist())
    return tuple(found)


def read_leaf(forest: Forest, row: int) -> Leaf:
    """Gather what a reward sees of one trajectory.

    Args:
        forest: any forest with a `text` column.
        row: the row that is scored.

    Returns:
        The trajectory that ends there.

    Raises:
        FormatError: the row is a root, a step has no text, or the record is not a JSON object.
        ColumnError: `text` or `record` holds numbers.
    """
    root, *steps = cast("list[int]", forest.path(row).tolist())
    if not steps:
        raise FormatError(f"Row {row} is a root: nothing was sampled that could be scored.")
    texts = [_text_at(forest, "text", step) for step in steps]
    if any(text is None for text in texts):
        raise FormatError(f"Row {row} has a step without text on its path. A text reward needs the `text` column.")
    record = read_record(_text_at(forest, "record", root))
    calls = [_text_at(forest, "call", step) for step in steps]
    prompt = record["prompt"] if "prompt" in record else _text_at(forest, "text", root)
    version = forest["policy_version"][row] if "policy_version" in forest else None
    return Leaf(
        row=row,
        prompt="" if prompt is None else str(prompt),
        completion="".join(text or "" for text in texts),
        record=record,
        token_ids=_tokens(forest, steps),
        policy_version=None if version is None else int(version),
        call=None if all(call is None for call in calls) else read_record(calls[-1]),
    )


def score_each(forest: Forest, rows: Tensor, rule: Callable[[Leaf], float]) -> Scores:
    """Apply a rule to every row by itself, so that one failure is one row's.

    Args:
        forest: any forest with a `text` column.
        rows: rows to score, int64.
        rule: a number for a trajectory; what it raises becomes the row's reason.

    Returns:
        The scores in the order of `rows`; NaN where the rule failed.

    Raises:
        SettingError: the rule says that it is set up wrongly.
        MissingExtra: the rule needs a package that is not installed.
    """
    values: list[float] = []
    reasons: list[str | None] = []
    for row in cast("list[int]", rows.tolist()):
        try:
            values.append(rule(read_leaf(forest, row)))
            reasons.append(None)
        except failure.SETUP_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - a failed reward is data: the row says why
            values.append(math.nan)
            reasons.append(failure.reason_of(error))
    ok = torch.tensor([reason is None for reason in reasons], dtype=torch.bool)
    return Scores(values=torch.tensor(values, dtype=torch.float32), ok=ok, reasons=reasons)
