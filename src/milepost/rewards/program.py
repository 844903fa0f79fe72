"""Rewards written as programs by a person or a model: run in a jail, never here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from milepost import checks
from milepost.errors import ColumnError, FormatError, SettingError
from milepost.forest import Forest
from milepost.part import Scores
from milepost.programs.answers import number_of
from milepost.programs.program import Answer, Jail, Program
from milepost.rewards import failure
from milepost.rewards.leaf import Leaf, read_leaf

LEAF_FIELDS = ("prompt", "completion", "record", "references")
"""What a program may be given of a trajectory."""
STEP_FIELDS = ("before", "action", "after")
"""What a program may be given of a step: the observation before, the action, the observation arrived at."""


def scores_of(answers: Sequence[Answer]) -> Scores:
    """Take the answers of a program as rewards.

    Args:
        answers: one per row.

    Returns:
        Its numbers; a row without a finite number is not ok, and has the reason. A mapping of terms counts as its sum.
    """
    values: list[float] = []
    reasons: list[str | None] = []
    for answer in answers:
        try:
            values.append(math.nan if answer.reason is not None else number_of(answer.value))
            reasons.append(answer.reason)
        except FormatError as error:
            values.append(math.nan)
            reasons.append(failure.reason("reward_error", str(error)))
    ok = torch.tensor([reason is None for reason in reasons], dtype=torch.bool)
    seconds = torch.tensor([answer.seconds for answer in answers], dtype=torch.float64)
    return Scores(
        values=torch.tensor(values, dtype=torch.float32), ok=ok, reasons=reasons, cost={"program_seconds": seconds}
    )


def _check(name: str, fields: Sequence[str], known: Sequence[str]) -> None:
    checks.not_empty("fields", fields)
    for one in fields:
        checks.one_of("fields", one, known)
    if not name.isidentifier():
        raise SettingError(f"name={name!r} cannot name a column: use letters, digits and underscores.")


def _of_leaf(leaf: Leaf) -> dict[str, Any]:
    return {
        "prompt": leaf.prompt,
        "completion": leaf.completion,
        "record": dict(leaf.record),
        "references": list(leaf.references),
    }


@dataclass(frozen=True, kw_only=True)
class TrajectoryProgram:
    """A program that scores a whole trajectory of text, run in a jail. Implements `part.Reward`.

    Example:
        >>> from milepost.jail.levels import opened
        >>> from milepost.rewards import guard
        >>> short = Program(source="def compute_reward(completion): return 1 / len(completion)")
        >>> reward = TrajectoryProgram(program=short, jail=opened("process"), fields=("completion",))
        >>> guard.score(reward, Forest.of([-1, 0, 0], {"text": ["?", "four", ""]})).text("reason.program")[2]
        'reward_error: ZeroDivisionError: division by zero'
    """

    program: Program
    jail: Jail
    fields: tuple[str, ...] = ("prompt", "completion", "record")
    """Its arguments, of `LEAF_FIELDS`."""
    name: str = "program"
    """Name of the columns it fills."""
    range: tuple[float, float] = (-math.inf, math.inf)
    """Smallest and largest number that is believed."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the fields and the name."""
        _check(self.name, self.fields, LEAF_FIELDS)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Call the program once per row, each time without memory of the others."""
        found: list[Answer] = []
        known: list[int] = []
        inputs: list[Mapping[str, Any]] = []
        for place, row in enumerate(cast("list[int]", rows.tolist())):
            try:
                given = _of_leaf(read_leaf(forest, row))
            except FormatError as error:
                found.append(Answer(reason=failure.reason_of(error)))
            else:
                found.append(Answer())
                known.append(place)
                inputs.append({field: given[field] for field in self.fields})
        for place, answer in zip(known, self.jail.run(self.program, inputs), strict=True):
            found[place] = answer
        return scores_of(found)


@dataclass(frozen=True, kw_only=True)
class StepProgram:
    """A program that scores each step of a control task, run in a jail. Implements `part.Reward`.

    It is given numbers as lists, or as NumPy arrays where `program.arrays` says so.
    """

    program: Program
    jail: Jail
    fields: tuple[str, ...] = STEP_FIELDS
    """Its arguments, of `STEP_FIELDS`."""
    name: str = "program"
    """Name of the columns it fills."""
    range: tuple[float, float] = (-math.inf, math.inf)
    """Smallest and largest number that is believed."""
    when: ClassVar[Literal["step", "leaf"]] = "step"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the fields and the name."""
        _check(self.name, self.fields, STEP_FIELDS)

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Call the program once per step, each time without memory of the others."""
        return scores_of(self.jail.run(self.program, self._inputs(forest, rows)))

    def _inputs(self, forest: Forest, rows: Tensor) -> list[dict[str, Any]]:
        wanted = {"before": ("observation", forest.parent[rows]), "after": ("observation", rows)}
        columns: dict[str, list[Any]] = {}
        for field in self.fields:
            column, places = wanted.get(field, (field, rows))
            if column not in forest:
                raise ColumnError(
                    f"rewards.program.StepProgram gives its program {field!r}, but there is no column {column!r}. "
                    f"It has: {', '.join(forest.names)}."
                )
            columns[field] = cast("list[Any]", forest[column][places].tolist())
        return [{field: columns[field][place] for field in self.fields} for place, _ in enumerate(rows)]
