"""A task choice of milepost's inside verl: the data set hands out the tasks that a recipe's choice draws.

In verl's configuration:

    data.custom_cls.path=pkg://milepost.engines.verl.tasks     data.custom_cls.name=ChosenTasks
    data.dataloader_num_workers=0                              +data.milepost.recipe=vas
    trainer.v1.sampler.custom_sampler.path=pkg://milepost.engines.verl.replay
    trainer.v1.sampler.custom_sampler.name=replay_buffer

The data set and the replay buffer are made in the same process, that of verl's trainer, and the buffer finds the data
set through the trainer. verl stores the state of the choice in its own file of the data loader, `data.pt`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from milepost import keys, optional, state
from milepost import recipe as recipes
from milepost.engines.trl.samples import TASK
from milepost.errors import SettingError
from milepost.forest import Forest
from milepost.part import Task, TaskChoice
from milepost.recipe import Train
from milepost.sampling.choice import ScoresPool, Scoring

POSITION, SCORING = "milepost_position", "milepost_scoring"
"""Fields of a row: where its task stands in the pool, and whether it is rolled out only to score it."""
_PURPOSE = "A task choice in verl"


@dataclass(frozen=True, kw_only=True)
class Handed:
    """The next tasks."""

    positions: list[int]
    scoring: Scoring | None
    """How they are rolled out to score them; None: to train on them."""


@dataclass(kw_only=True, eq=False)
class Chooser:
    """A task choice and what it knows."""

    choice: TaskChoice
    pool: Sequence[Task]
    state: Any
    asked: set[int] = field(default_factory=set[int])
    """Tasks that were handed out to be scored, and were not scored yet."""

    @staticmethod
    def of(choice: TaskChoice, pool: Sequence[Task], *, seed: int) -> Chooser:
        """Begin to choose.

        Args:
            choice: of a recipe.
            pool: the tasks of the data set, in its order.
            seed: of the run.

        Returns:
            The chooser before its first draw.

        Raises:
            SettingError: the pool is empty, or two tasks have one id.
        """
        return Chooser(choice=choice, pool=pool, state=choice.init(pool, keys.fold(keys.root(seed), "choice")))

    def next(self, count: int) -> Handed:
        """Hand out the next tasks: those that are to be scored first.

        Args:
            count: how many; where fewer are to be scored some come twice, since verl's batches have one size.

        Returns:
            Their positions in the pool.
        """
        due = self.choice.refresh(self.state)
        if due is None:
            drawn = self.choice.draw(self.state, count)
            self.state = drawn.state
            return Handed(positions=cast("list[int]", drawn.tasks.tolist()), scoring=None)
        found = cast("list[int]", due.tolist())
        left = [position for position in found if position not in self.asked] or found
        positions = [left[place % len(left)] for place in range(count)]
        self.asked |= set(positions)
        how = self.choice.scoring if isinstance(self.choice, ScoresPool) else Scoring(width=1, greedy=False)
        return Handed(positions=positions, scoring=how)

    def learn(self, forest: Forest, *, scoring: bool) -> None:
        """Tell the choice how tasks were scored.

        Args:
            forest: with their ids, one tree for each group; see `replay.scored_forest`.
            scoring: whether they were handed out only to score them.
        """
        if scoring:
            self.asked = set()
        self.state = self.choice.update(self.state, forest, scoring=scoring)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        held = state.dump(self.state)
        return {"tensors": dict(held.tensors), "record": json.dumps(held.record)}

    def load_state_dict(self, held: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            FormatError: it holds the state of another choice.
        """
        found = state.Dumped(held["tensors"], json.loads(held["record"]))
        self.state, self.asked = state.load(type(self.state), found), set()


def tasks_of(rows: Sequence[Mapping[str, Any]]) -> list[Task]:
    """The pool of a data set of verl's.

    Args:
        rows: with "extra_info", and in it `milepost_task` where the task is one of an environment of milepost's.

    Returns:
        One task per row; without `milepost_task` its number is its id, and "data_source" its family.
    """
    found: list[Task] = []
    for place, row in enumerate(rows):
        extra = cast("Mapping[str, Any]", row.get("extra_info") or {})
        if TASK in extra:
            found.append(Task(**json.loads(extra[TASK])))
        else:
            found.append(Task(id=f"row:{place:08d}", record={}, family=str(row.get("data_source") or "")))
    return found


def chooser_for(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Chooser:
    """The chooser that a configuration names.

    Args:
        rows: see `tasks_of`.
        config: verl's `data`; `milepost.recipe` names a recipe, `milepost.settings` are for it, `milepost.seed` too.

    Returns:
        The chooser before its first draw.

    Raises:
        SettingError: no recipe is named, it does not train, or verl would load rows in processes of their own.
        UnknownName: the recipe, or a setting of it, does not exist.
    """
    named = cast("Mapping[str, Any]", config.get("milepost") or {})
    if "recipe" not in named:
        raise SettingError(
            "The data set ChosenTasks needs the name of a recipe, whose task choice it uses: set "
            "+data.milepost.recipe=vas, and its settings as +data.milepost.settings={refresh_every: 0}."
        )
    if config.get("dataloader_num_workers", 0) != 0:
        raise SettingError(
            f"data.dataloader_num_workers is {config['dataloader_num_workers']}, and a task choice must learn in the "
            "process that draws: set it to 0."
        )
    job = recipes.built(str(named["recipe"]), dict(named.get("settings") or {}))
    if not isinstance(job, Train):
        raise SettingError(f"verl trains, and the recipe {named['recipe']!r} built a {type(job).__name__}.")
    return Chooser.of(job.choice, tasks_of(rows), seed=int(named.get("seed") or 0))


def is_training(data_files: Any, config: Mapping[str, Any]) -> bool:
    """Whether a data set is the one that is trained on; verl does not tell it.

    Args:
        data_files: what verl gives the data set.
        config: verl's `data`.

    Returns:
        True for `train_files`.

    Raises:
        SettingError: `train_files` and `val_files` are the same.
    """
    train, held_out, own = (_listed(one) for one in (config.get("train_files"), config.get("val_files"), data_files))
    if train == held_out:
        raise SettingError(
            f"data.train_files and data.val_files are both {train}, and verl does not tell a data set which of the two "
            "it is: give one of them another name."
        )
    return own == train


def _listed(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else [str(one) for one in files or ()]


@lru_cache(maxsize=1)
def dataset_class() -> Any:
    """The class that verl loads by the name `ChosenTasks`.

    Returns:
        A subclass of verl's `RLHFDataset`; its `chooser` is None in the data set of validation.

    Raises:
        MissingExtra: verl is not installed.
    """
    base = optional.load("verl.utils.dataset.rl_dataset", extra="verl", purpose=_PURPOSE).RLHFDataset

    def __init__(self: Any, data_files: Any, tokenizer: Any, config: Any, **named: Any) -> None:  # noqa: N807
        base.__init__(self, data_files, tokenizer, config, **named)
        self.chooser = None
        if is_training(data_files, config):
            known = [name for name in ("extra_info", "data_source") if name in self.dataframe.column_names]
            self.chooser = chooser_for(list(self.dataframe.select_columns(known)), config)

    def __getitems__(self: Any, items: Sequence[int]) -> list[dict[str, Any]]:  # noqa: N807
        if self.chooser is None:
            return [self[item] for item in items]
        handed = self.chooser.next(len(items))
        rows = [{**self[place], POSITION: place, SCORING: handed.scoring is not None} for place in handed.positions]
        how = handed.scoring
        asked = {} if how is None else {"__rollout_n__": how.width, "__do_sample__": not how.greedy}
        return [{**row, **asked} for row in rows]

    def state_dict(self: Any) -> dict[str, Any]:
        return {} if self.chooser is None else self.chooser.state_dict()

    def load_state_dict(self: Any, held: Mapping[str, Any]) -> None:
        if self.chooser is not None:
            self.chooser.load_state_dict(held)

    methods = (__init__, __getitems__, state_dict, load_state_dict)
    named = {one.__name__: one for one in methods}
    return type("ChosenTasks", (base,), {**named, "__module__": __name__, "__doc__": "Rows that a task choice draws."})


def __getattr__(name: str) -> Any:
    """The class, made when verl asks for it."""
    if name == "ChosenTasks":
        return dataset_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
