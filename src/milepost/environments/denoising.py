"""Tasks of a flow or diffusion model: a class or a prompt to draw. The environment shows it and lets latents pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from milepost import checks
from milepost.columns import End
from milepost.errors import SettingError
from milepost.part import Action, Observation, Start, State, Task, Transition


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Ask for images of a class; a trajectory ends where the time arrived at, which is the action, is 0.

    There is one task for each class and number, so that evaluation has fresh noise for each of its tasks.

    Example:
        >>> Denoising(train_size=3).train()[2].record
        {'class': 2, 'number': 0, 'prompt': 'a handwritten 2'}
    """

    train_size: int = 10
    held_out_size: int = 40
    classes: int = 10
    stop = ()
    embedded = "digits-flow"

    def __post_init__(self) -> None:
        """Check the sizes."""
        checks.at_least("train_size", self.train_size, 1)
        checks.at_least("held_out_size", self.held_out_size, 0)
        checks.at_least("classes", self.classes, 1)

    def train(self) -> Sequence[Task]:
        """The training pool."""
        return [self._task("train", number) for number in range(self.train_size)]

    def held_out(self) -> Sequence[Task]:
        """The evaluation pool: the same classes, noise of its own."""
        return [self._task("held-out", number) for number in range(self.held_out_size)]

    def _task(self, pool: str, place: int) -> Task:
        number, chosen = divmod(place, self.classes)
        record = {"class": chosen, "number": number, "prompt": f"a handwritten {chosen}"}
        return Task(id=f"digits:{pool}:{number}:{chosen}", record=record, family=f"class {chosen}")

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - the noise is the policy's first step
        """Show the class."""
        return Start(observation=Observation(array=int(task.record["class"])), state=None)

    def step(self, state: State, action: Action, key: int) -> Transition:  # noqa: ARG002 - the environment protocol
        """Let a latent pass; at time 0 the image is finished."""
        return _passed(action)


def _passed(action: Action) -> Transition:
    if float(action.array) > 0:
        return Transition(observation=None, state=None)
    return Transition(observation=None, state=None, end=End.TERMINATED, discount=0.0)


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Ask for images of prompts. What the policy is shown is the number of the prompt among all of them.

    Example:
        >>> world = Prompts(prompts=("a red cat", "a dog"), kept=("a blue cat",))
        >>> [task.record["number"] for task in (*world.train(), *world.held_out())], world.every[2]
        ([0, 1, 2], 'a blue cat')
    """

    prompts: tuple[str, ...]
    """To train on."""
    kept: tuple[str, ...] = ()
    """To evaluate on; none: those to train on, with noise of their own."""
    held_out_size: int | None = None
    """Tasks for evaluation: the prompts again and again, each time with noise of its own; None: each prompt once."""
    stop = ()
    embedded = ""

    def __post_init__(self) -> None:
        """Check that there is something to draw, and that no prompt is given twice."""
        checks.not_empty("prompts", self.prompts)
        checks.at_least("held_out_size", self.held_out_size or 0, 0)
        twice = {asked for asked in self.every if self.every.count(asked) > 1}
        if twice:
            raise SettingError(f"The prompt {min(twice)!r} is given twice, in prompts and kept together: give it once.")

    @property
    def every(self) -> tuple[str, ...]:
        """All prompts in the order of their numbers: what the policy must know."""
        return (*self.prompts, *self.kept)

    def train(self) -> Sequence[Task]:
        """The prompts to train on."""
        return [self._task("train", number, 0) for number in range(len(self.prompts))]

    def held_out(self) -> Sequence[Task]:
        """The prompts that are kept for evaluation."""
        first = len(self.prompts) if self.kept else 0
        count = len(self.every) - first
        wanted = count if self.held_out_size is None else self.held_out_size
        places = (divmod(place, count) for place in range(wanted))
        return [self._task("held-out", first + number, again) for again, number in places]

    def _task(self, pool: str, number: int, again: int) -> Task:
        asked = self.every[number]
        name = f"prompt:{pool}:{asked}" if again == 0 else f"prompt:{pool}:{again}:{asked}"
        return Task(id=name, record={"number": number, "prompt": asked}, family=asked)

    def reset(self, task: Task, key: int) -> Start:  # noqa: ARG002 - the noise is the policy's first step
        """Show the number of the prompt."""
        return Start(observation=Observation(array=int(task.record["number"])), state=None)

    def step(self, state: State, action: Action, key: int) -> Transition:  # noqa: ARG002 - the environment protocol
        """Let a latent pass; at time 0 the image is finished."""
        return _passed(action)


def prompts_of(path: Path) -> tuple[str, ...]:
    """Prompts of a text file, one a line; empty lines and lines that begin with # are left out.

    Args:
        path: a file in UTF-8.

    Returns:
        The prompts.

    Raises:
        SettingError: the file cannot be read, or holds none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The prompts in {str(path)!r} cannot be read: {error}.") from error
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found:
        raise SettingError(f"{str(path)!r} holds no prompt: expected one on each line.")
    return found
