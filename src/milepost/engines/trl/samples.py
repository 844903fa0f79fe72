"""A batch of TRL as a forest: one tree for each group of completions, one row for each turn of a completion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from milepost import keys
from milepost.columns import End, Origin, Role
from milepost.errors import ShapeError
from milepost.forest import Forest, Given
from milepost.part import Task
from milepost.ragged import Ragged
from milepost.rewards import combine

_KEPT_BY_TRL = ("prompt", "completion", "completion_ids")
TASK = "milepost_task"
"""Column of a data set that holds a whole task of an environment as JSON; Arrow would mix the fields of its rows."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One completion, as plain values that processes can exchange."""

    prompt: str
    texts: tuple[str, ...]
    """Text of each step of the completion."""
    record: Mapping[str, Any]
    """Columns of the data set, those that JSON can hold."""
    prompt_ids: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    """Tokens of the completion."""
    train: tuple[bool, ...] = ()
    """Whether the policy chose the token: false for what a tool answered."""
    log_prob: tuple[float, ...] | None = None
    """Of each token under the policy that sampled, in nats; None where it is not known."""
    lengths: tuple[int, ...] = ()
    """Tokens of each step; they add up to those of the completion."""
    truncated: bool = False
    """Whether the completion was cut off."""
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why rewards could not be had, by their names."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The completions of one prompt, and which draw of which task they are."""

    task: str
    draw: int
    samples: Sequence[Sample]


def text_of(said: object) -> str:
    """The text of a prompt or completion in one of TRL's two forms.

    Args:
        said: text, or a list of messages; of a prompt the last message is what was asked.

    Returns:
        The text, or the content of the last message.
    """
    if isinstance(said, list) and said:
        content = said[-1].get("content") if isinstance(said[-1], Mapping) else said[-1]
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return str(said)


def record_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a task: the columns of its row that JSON can hold, and "prompt" as text.

    Args:
        row: one row of a data set of TRL's.

    Returns:
        The record.
    """
    if TASK in row:
        return dict(json.loads(row[TASK])["record"])
    found = {name: value for name, value in row.items() if name not in _KEPT_BY_TRL and _is_json(value)}
    return {**found, "prompt": text_of(row.get("prompt", ""))}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def pool_of(rows: Sequence[Mapping[str, Any]]) -> list[Task]:
    """The tasks of a data set: what a task choice draws from.

    Args:
        rows: the data set.

    Returns:
        One task per row; its id is the row's "id" where there is one and no other row has it, else its number.
    """
    if len(rows) and TASK in rows[0]:
        return [task_of(row) for row in rows]
    records = [record_of(row) for row in rows]
    named = [str(record["id"]) if "id" in record else f"row:{place:08d}" for place, record in enumerate(records)]
    if len(set(named)) < len(named):
        named = [f"row:{place:08d}" for place in range(len(named))]
    return [
        Task(id=name, record=record, family=str(record.get("family", "")))
        for name, record in zip(named, records, strict=True)
    ]


def task_of(row: Mapping[str, Any]) -> Task:
    """The task of one row.

    Args:
        row: of a data set; with `milepost_task` it is that one.

    Returns:
        The task; without an "id" the prompt is its id.
    """
    if TASK in row:
        return Task(**json.loads(row[TASK]))
    record = record_of(row)
    return Task(id=str(record.get("id", record["prompt"])), record=record, family=str(record.get("family", "")))


def forest_of(groups: Sequence[Group], *, version: int = 0) -> Forest:
    """Build the forest of a batch: a root for each group, below it a chain of steps for each completion.

    Args:
        groups: the batch; groups may have any size.
        version: updates that the sampling policy had seen.

    Returns:
        A forest without rewards; its leaves are the completions, in order. It has tokens where samples have them.
    """
    rows = _Rows()
    for number, group in enumerate(groups):
        rows.add(group, keys.fold(keys.root(0), "trl", version, number))
    return rows.forest(version)


class _Rows:
    """Columns that grow group by group."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        names = ("task", "record", "label.family", "draw", "text", "origin", "key", "end", "discount")
        self.columns: dict[str, list[Any]] = {name: [] for name in names}
        self.ids: list[list[int]] = []
        self.role: list[list[int]] = []
        self.train: list[list[bool]] = []
        self.log_prob: list[list[float]] = []
        self.known = True

    def add(self, group: Group, key: int) -> None:
        first = group.samples[0]
        root = self._row(-1, first.prompt, key, list(first.prompt_ids), [False] * len(first.prompt_ids), Role.PROMPT)
        self._fill(root, task=group.task, draw=group.draw, record=json.dumps(first.record, sort_keys=True))
        self.columns["label.family"][root] = str(first.record.get("family", ""))
        self.log_prob.append([0.0] * len(first.prompt_ids))
        for place, sample in enumerate(group.samples):
            self._steps(root, sample, keys.fold(key, "completion", place))

    def _steps(self, root: int, sample: Sample, key: int) -> None:
        lengths = sample.lengths or (len(sample.ids),)
        if sum(lengths) != len(sample.ids) or len(lengths) != len(sample.texts):
            raise ShapeError(
                f"A completion of {len(sample.ids)} tokens has steps of {list(lengths)} tokens and "
                f"{len(sample.texts)} texts: expected one length and one text per step that add up."
            )
        above, start = root, 0
        log_prob = sample.log_prob
        self.known &= log_prob is not None
        for step, (length, text) in enumerate(zip(lengths, sample.texts, strict=True)):
            cut = slice(start, start + length)
            train = list(sample.train[cut])
            above = self._row(above, text, keys.fold(key, "step", step), list(sample.ids[cut]), train, Role.POLICY)
            self.log_prob.append([0.0] * length if log_prob is None else list(log_prob[cut]))
            start += length
        self._fill(above, end=int(End.TOKEN_LIMIT if sample.truncated else End.TERMINATED))
        self._fill(above, discount=1.0 if sample.truncated else 0.0)

    def _row(self, parent: int, text: str, key: int, ids: list[int], train: list[bool], role: Role) -> int:
        row = len(self.parent)
        self.parent.append(parent)
        for values in self.columns.values():
            values.append(None)
        origin = Origin.ENVIRONMENT if role is Role.PROMPT else Origin.POLICY
        self._fill(row, text=text, key=key, origin=int(origin), end=int(End.OPEN), discount=1.0)
        self.ids.append(ids)
        self.train.append(train)
        self.role.append([int(role if own or role is Role.PROMPT else Role.OBSERVATION) for own in train])
        return row

    def _fill(self, row: int, **values: Any) -> None:
        for name, value in values.items():
            self.columns[name][row] = value

    def forest(self, version: int) -> Forest:
        columns: dict[str, Given] = dict(self.columns)
        columns["policy_version"] = [version] * len(self.parent)
        if any(self.ids):
            columns["tokens.id"] = Ragged.of(self.ids, torch.int32)
            columns["tokens.role"] = Ragged.of(self.role, torch.int8)
            columns["tokens.train"] = Ragged.of(self.train, torch.bool)
            if self.known:
                columns["tokens.log_prob"] = Ragged.of(self.log_prob, torch.float32)
        return Forest.of(self.parent, columns)


def scored(
    forest: Forest, groups: Sequence[Group], values: Mapping[str, Sequence[float | None]], weights: Sequence[float]
) -> Forest:
    """Write what TRL's reward functions returned, and the total.

    A function that returned None, and gives no reason, does not apply to that completion, as TRL has it; with a reason
    it failed, and so does the total.

    Args:
        forest: from `forest_of`.
        groups: what it was made of.
        values: name of each function to one number per completion.
        weights: one per function.

    Returns:
        The forest with `reward.<name>`, `ok.<name>`, `reason.<name>` for each function, and those of "total".
    """
    leaves = forest.leaves()
    samples = [sample for group in groups for sample in group.samples]
    columns: dict[str, Given] = {}
    for name, found in values.items():
        ok = torch.zeros(len(forest), dtype=torch.bool)
        number: list[float | None] = [None] * len(forest)
        reasons: list[str | None] = [None] * len(forest)
        for row, value, sample in zip(leaves.tolist(), found, samples, strict=True):
            ok[row], number[row] = value is not None, value
            reasons[row] = sample.reasons.get(name) if value is None else None
        columns |= {f"reward.{name}": number, f"ok.{name}": ok, f"reason.{name}": reasons}
    return combine.total(forest.with_columns(columns), list(values), list(weights))
