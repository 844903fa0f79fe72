"""Tasks of a flow or diffusion model: a class to draw. The environment shows it and lets latents pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from milepost import checks
from milepost.columns import End
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
        if float(action.array) > 0:
            return Transition(observation=None, state=None)
        return Transition(observation=None, state=None, end=End.TERMINATED, discount=0.0)
