"""A task choice as the sampler of TRL's data loader, with a memory that a checkpoint can hold.

The data loader draws one generation ahead of the one that is trained. Tasks that were drawn and not yet answered are
therefore part of the state: a resumed run answers them first, and then draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from milepost import keys
from milepost.errors import MilepostError, SettingError
from milepost.forest import Forest
from milepost.part import Task, TaskChoice
from milepost.sampling.hardest import Picked
from milepost.sampling.mixture import Mixture

_INSTEAD: Mapping[type, str] = MappingProxyType({
    Mixture: "let it learn from training groups, as vas.build(refresh_every=0) does",
    Picked: "let it pick at random, as bleuberi.build(control=True) does, or give TRL the hard tasks only",
})  # fmt: skip
"""What to choose in place of one that scores the pool."""


def _instead(choice: TaskChoice) -> str:
    return _INSTEAD.get(type(choice), "choose one that learns from training groups, or asks for none to be scored")


@dataclass(kw_only=True, eq=False)
class ChosenTasks:
    """Sampler of a data loader: positions of tasks, each repeated for its group."""

    choice: TaskChoice
    pool: Sequence[Task]
    state: Any
    tasks: int
    """Tasks in a generation."""
    width: int
    """Completions per task."""
    repeats: int
    """How often the loader reads a generation's rows; only the first reading is answered."""
    waiting: list[list[int]] = field(default_factory=list[list[int]])
    """Tasks of generations that were drawn and not yet answered, the oldest first."""
    again: int = 0
    """How many of those this process has still to hand out: after a restart all."""
    drawn: dict[str, int] = field(default_factory=dict[str, int])
    """How often each task was answered."""

    @staticmethod
    def of(choice: TaskChoice, pool: Sequence[Task], *, tasks: int, width: int, repeats: int, seed: int) -> ChosenTasks:
        """Begin to draw.

        Args:
            choice: which tasks to draw.
            pool: the tasks of the data set, in its order.
            tasks: tasks in a generation.
            width: completions per task.
            repeats: how often the loader reads the rows of a generation.
            seed: of the run.

        Returns:
            The sampler before its first draw.

        Raises:
            SettingError: the choice wants tasks rolled out only to score them.
        """
        state = choice.init(pool, keys.fold(keys.root(seed), "choice"))
        if choice.refresh(state) is not None:
            raise SettingError(
                f"{type(choice).__name__} rolls tasks out only to score them, and TRL's trainer has no place for that: "
                f"{_instead(choice)}."
            )
        return ChosenTasks(choice=choice, pool=pool, state=state, tasks=tasks, width=width, repeats=repeats)

    def __len__(self) -> int:
        """Rows of one pass over as many generations as the pool fills."""
        return max(len(self.pool) // self.tasks, 1) * self.tasks * self.width * self.repeats

    def __iter__(self) -> Iterator[int]:
        """Yield positions, generation by generation."""
        for _ in range(len(self) // (self.tasks * self.width * self.repeats)):
            positions = self._next()
            for _ in range(self.repeats):
                for position in positions:
                    yield from [position] * self.width

    def _next(self) -> list[int]:
        if self.again:
            self.again -= 1
            return self.waiting[len(self.waiting) - self.again - 1]
        found = self.choice.draw(self.state, self.tasks)
        self.state = found.state
        self.waiting.append(cast("list[int]", found.tasks.tolist()))
        return self.waiting[-1]

    def answered(self) -> list[tuple[Task, int]]:
        """Take the tasks of the generation that was just answered.

        Returns:
            Each task in order, and how often it was answered before.

        Raises:
            MilepostError: nothing was drawn: the trainer took its rows from elsewhere.
        """
        if not self.waiting:
            raise MilepostError(
                "TRL answered tasks that the task choice did not draw. This milepost knows TRL 1.16: see "
                "docs/how-to/trl.md."
            )
        found: list[tuple[Task, int]] = []
        for position in self.waiting.pop(0):
            task = self.pool[position]
            before = self.drawn.get(task.id, 0)
            self.drawn[task.id] = before + 1
            found.append((task, before))
        return found

    def learn(self, forest: Forest) -> None:
        """Tell the choice how a generation was scored."""
        self.state = self.choice.update(self.state, forest, scoring=False)
