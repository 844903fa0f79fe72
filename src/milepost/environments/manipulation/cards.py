"""What a program may read of Meta-World's arm, and the tasks in a sentence. Ranges are those of release 3."""

from __future__ import annotations

from collections.abc import Mapping

from milepost.errors import unknown_name
from milepost.programs.card import Attribute, Entity, EnvironmentCard

SENTENCES: Mapping[str, str] = {
    "reach": "Move the gripper to the goal.",
    "button-press-topdown": "Press the button down from above.",
    "drawer-close": "Push the drawer shut.",
    "handle-press": "Press the handle down.",
    "plate-slide": "Slide the plate into the goal.",
    "window-open": "Push the window open by its handle.",
    "coffee-button": "Press the button of the coffee machine.",
    "drawer-open": "Pull the drawer open by its handle.",
}
NAMES = tuple(SENTENCES)
"""Tasks that are known."""


def _place(name: str, start: int, about: str) -> Attribute:
    return Attribute(name=name, start=start, stop=start + 3, about=f"{about}, metres", low=-1.0, high=1.2)


def card(*, openness: tuple[float, float] = (0.0, 1.0)) -> EnvironmentCard:
    """The card of all tasks: the first 7 numbers of an observation, and the goal.

    Args:
        openness: range of the gripper's opening as the card states it. The published card says -1 to 1, which the
            simulator contradicts.

    Returns:
        The card.
    """
    fingers = Attribute(
        name="gripper_openness", start=3, stop=4, about="opening of the gripper, 0 is closed", low=openness[0],
        high=openness[1],
    )  # fmt: skip
    return EnvironmentCard(
        name="Meta-World, arm of a robot above a table",
        entities=(
            Entity(name="robot", about="The arm.", attributes=(_place("ee_position", 0, "hand"), fingers)),
            Entity(
                name="obj1",
                about="The thing that is to be moved: a handle, a button, a plate.",
                attributes=(_place("position", 4, "where it is to be taken hold of or pushed"),),
            ),
            Entity(name="goal", about="Where it is to be.", attributes=(_place("position", 36, "goal"),)),
        ),
        action="4 numbers in [-1, 1]: move the hand along x, y, z; close the gripper (1) or open it (-1)",
    )


def sentence(task: str) -> str:
    """A task in words.

    Args:
        task: one of `NAMES`.

    Returns:
        A sentence.

    Raises:
        UnknownName: no such task.
    """
    if task not in SENTENCES:
        raise unknown_name("task of the arm", task, NAMES)
    return SENTENCES[task]
