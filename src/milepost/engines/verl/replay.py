"""verl's replay buffer with an ear for a task choice: it tells it how the tasks of each batch were scored.

Named by `trainer.v1.sampler.custom_sampler`, see `tasks`. verl builds its own buffer, and this one asks it. Groups that
were rolled out only to score tasks are taken out of the queue and replaced, so that no batch holds them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch

from milepost import optional
from milepost.columns import Role
from milepost.engines.verl.tasks import POSITION, SCORING, Chooser
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Task
from milepost.ragged import Ragged
from milepost.sampling.choice import Measured

TOTAL = "milepost_total"
"""Of `extra_fields`: the reward of a line whose `rm_scores` are credit; NaN where it failed."""
_FIELDS = (POSITION, SCORING, "prompts", "responses", "response_mask", "rm_scores", "extra_fields")
_PURPOSE = "A task choice in verl"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One trajectory of verl's queue."""

    uid: str
    position: int
    scoring: bool
    prompt: Sequence[int]
    response: Sequence[int]
    mask: Sequence[int]
    score: float
    """NaN where it failed."""


def scored_forest(lines: Sequence[Line], pool: Sequence[Task], asked: Sequence[int] = ()) -> Forest:
    """What a task choice learns from.

    Args:
        lines: of whole groups.
        pool: the tasks.
        asked: positions of tasks of which there must be a tree, with or without answers.

    Returns:
        A tree for each group and for each position without one, a row for each line; with tokens and "total".
    """
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.uid, []).append(line)
    silent = sorted(set(asked) - {line.position for line in lines})
    trees = [(group[0].position, group[0].prompt, group) for group in groups.values()]
    trees += [(position, (), []) for position in silent]
    rows = _Rows()
    seen: dict[int, int] = {}
    for position, prompt, group in trees:
        root = rows.add(-1, prompt, [int(Role.PROMPT)] * len(prompt), math.nan)
        rows.named(root, pool[position].id, seen.setdefault(position, 0))
        seen[position] += 1
        for line in group:
            role = [int(Role.POLICY if own else Role.OBSERVATION) for own in line.mask]
            rows.add(root, line.response, role, line.score)
    return rows.forest()


class _Rows:
    def __init__(self) -> None:
        self.parent: list[int] = []
        self.ids: list[Sequence[int]] = []
        self.role: list[list[int]] = []
        self.score: list[float | None] = []
        self.task: list[str | None] = []
        self.draw: list[int | None] = []

    def add(self, parent: int, ids: Sequence[int], role: list[int], score: float) -> int:
        self.parent.append(parent)
        self.ids.append(ids)
        self.role.append(role)
        self.score.append(score if math.isfinite(score) else None)
        self.task.append(None)
        self.draw.append(None)
        return len(self.parent) - 1

    def named(self, row: int, task: str, draw: int) -> None:
        self.task[row], self.draw[row] = task, draw

    def forest(self) -> Forest:
        return Forest.of(
            self.parent,
            {
                "task": self.task,
                "draw": self.draw,
                "tokens.id": Ragged.of(self.ids, torch.int32),
                "tokens.role": Ragged.of(self.role, torch.int8),
                "reward.total": self.score,
                "ok.total": [score is not None for score in self.score],
            },
        )


def lines_in(keys: Sequence[str], fields: Mapping[str, Any]) -> list[Line]:
    """Read the rows of a batch of verl's queue.

    Args:
        keys: `{uid}_{session}_{index}`.
        fields: what the queue holds for them, by name.

    Returns:
        One line per trajectory. Of a session of several outputs only the last counts, as verl has it, unless it is a
        tree of milepost's, whose outputs are leaves.
    """
    found: dict[str, Line] = {}
    for place, key in enumerate(keys):
        uid, session, _ = key.split("_")
        row = {name: _plain(fields[name][place]) for name in _FIELDS}
        extra = cast("Mapping[str, Any]", row["extra_fields"] or {})
        total = extra.get(TOTAL)
        line = Line(
            uid=uid,
            position=int(row[POSITION]),
            scoring=bool(row[SCORING]),
            prompt=row["prompts"],
            response=row["responses"],
            mask=row["response_mask"],
            score=float(sum(row["rm_scores"])) if total is None else float(total),
        )
        found[f"{uid}_{session}" if total is None else key] = line
    return list(found.values())


def _plain(value: Any) -> Any:
    """A value of verl's queue without the wrapping that TensorDict puts around it."""
    if isinstance(value, torch.Tensor):
        return cast("Any", value).tolist()
    return getattr(value, "data", value)


@dataclass(kw_only=True, eq=False)
class Telling:
    """A replay buffer of verl's that tells a task choice what it hands over."""

    buffer: Any
    """verl's own."""
    trainer: Any
    queue: Any
    """The module `transfer_queue`."""

    def __getattr__(self, name: str) -> Any:
        """Everything else is the buffer's."""
        return getattr(self.buffer, name)

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, Any]]:
        """Take a batch that trains, as verl's buffer does; what was to be scored only is scored and taken out.

        Raises:
            SettingError: the data set is not `tasks.ChosenTasks`, or tasks are to be scored where verl mixes batches.
        """
        ask = {"global_steps": global_steps, "partition_id": partition_id, "batch_size": batch_size}
        if partition_id == "val":
            return self.buffer.sample(**ask)
        chooser, spent = self._chooser(), 0
        while True:
            batch, metrics = self.buffer.sample(**ask)
            fields = self.queue.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=list(_FIELDS))
            lines = lines_in(batch.keys, fields)
            scoring = any(line.scoring for line in lines)
            self._check(chooser, lines)
            asked = sorted(chooser.asked) if scoring else ()
            chooser.learn(scored_forest(lines, chooser.pool, asked), scoring=scoring)
            if not scoring:
                break
            spent += len(lines)
            self.queue.kv_clear(keys=batch.keys, partition_id=partition_id)
            self.buffer.refill_fn(batch_size)
        found = {**metrics, "training/milepost/scored_only": spent}
        if isinstance(chooser.choice, Measured):
            found |= {f"training/milepost/{n}": v for n, v in chooser.choice.metrics(chooser.state).items()}
        return batch, found

    def _chooser(self) -> Chooser:
        found = getattr(self.trainer.train_dataset, "chooser", None)
        if found is None:
            raise SettingError(
                "milepost's replay buffer tells a task choice what it sees, and the data set has none: set "
                "data.custom_cls.path=pkg://milepost.engines.verl.tasks and data.custom_cls.name=ChosenTasks."
            )
        return found

    def _check(self, chooser: Chooser, lines: Sequence[Line]) -> None:
        rolled = {line.scoring for line in lines}
        exact = self.buffer.trainer_mode == "sync" and self.buffer.filter_groups_metric is None
        if True in rolled and (len(rolled) > 1 or not exact):
            raise SettingError(
                f"{type(chooser.choice).__name__} rolls tasks out only to score them, which needs whole batches: set "
                "trainer.v1.trainer_mode=sync and leave algorithm.filter_groups off, or choose one that learns from "
                "training groups, such as +data.milepost.settings={refresh_every: 0} of vas."
            )


def replay_buffer(*, refill_fn: Callable[[int], Any], **given: Any) -> Telling:
    """Build what `trainer.v1.sampler.custom_sampler` names.

    Args:
        refill_fn: the method of verl's trainer that asks for more prompts.
        given: verl's other arguments; its own buffer, built from the same configuration, gets them.

    Returns:
        verl's own buffer of the trainer's mode, with its filter of groups, and an ear for the data set's task choice.

    Raises:
        SettingError: rewards are computed after a batch was taken.
        MissingExtra: verl is not installed.
    """
    del given
    trainer = cast("Any", refill_fn).__self__
    model = trainer.config.reward.reward_model
    if model.enable and not model.enable_resource_pool:
        raise SettingError(
            "A reward model that shares the actor's devices scores after the batch was taken, too late for a task "
            "choice: set reward.reward_model.enable_resource_pool=True."
        )
    plain = copy(trainer)  # verl's builder reads the configuration: this one names no buffer
    plain.config = deepcopy(trainer.config)
    plain.config.trainer.v1.sampler.custom_sampler.path = None
    buffer = plain._build_replay_buffer()  # noqa: SLF001 - the seam is tested
    buffer.refill_fn = refill_fn
    return Telling(
        buffer=buffer, trainer=trainer, queue=optional.load("transfer_queue", extra="verl", purpose=_PURPOSE)
    )
