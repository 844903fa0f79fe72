"""What a model is told when it is to write a dense reward: the card, the task in a sentence, and earlier rounds.

The form follows Xie et al. 2024 (Text2Reward): role, typed description, hints, instruction, signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from milepost.programs.card import EnvironmentCard
from milepost.programs.screening import ENTRY
from milepost.rewards.written.examples import Example

PROMPT = "text2reward@1"
_ROLE = (
    "You write dense reward functions for reinforcement learning, as Python. "
    "Answer with one function in one fenced code block."
)
_HINTS = f"""Write `def {ENTRY}(self, action):`. It is called after every step and returns one number, larger when the
step brought the task nearer to its end. Typical terms: minus the distance between gripper and object; minus the
distance between object and goal; a bonus for a stage that was reached, with if and else; a small penalty for large
actions.
You may use numpy as np and math. `self` has the attributes above and no others: invent none. No other import, no class,
no loop without an end, no names that begin with an underscore."""
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One earlier attempt, and what a person, or a check, says of it."""

    source: str
    behaviour: str
    """What happened: of the trained robot, or of the program when it was tried."""
    wish: str = ""
    """What should change."""


def messages(
    card: EnvironmentCard, task: str, rounds: Sequence[Round] = (), examples: Sequence[Example] = ()
) -> tuple[Mapping[str, str], ...]:
    """Write the messages for a chat model.

    Args:
        card: what the program may read.
        task: the task in a sentence.
        rounds: earlier attempts, oldest first.
        examples: solved tasks to show.

    Returns:
        Messages with role and content.
    """
    first = f"The environment:\n\n```python\n{card.text()}```\n\n{_HINTS}\n\n{_shown(examples)}The task: {task}"
    found: list[Mapping[str, str]] = [{"role": "system", "content": _ROLE}, {"role": "user", "content": first}]
    for one in rounds:
        said = f"What happened: {one.behaviour}" + (f"\nWhat should change: {one.wish}" if one.wish else "")
        found.append({"role": "assistant", "content": f"```python\n{one.source.strip()}\n```"})
        found.append(
            {"role": "user", "content": f"{said}\nThink again which term is missing or wrong, and write it anew."}
        )
    return tuple(found)


def _shown(examples: Sequence[Example]) -> str:
    solved = (f"A solved task: {one.task}\n\n```python\n{one.source.strip()}\n```\n\n" for one in examples)
    return "".join(solved)


def code_of(reply: str) -> str | None:
    r"""The first fenced block of a reply.

    Args:
        reply: what a model wrote.

    Returns:
        Its content; None where there is none, so that the model can be asked again.

    Example:
        >>> code_of("Here:\n```python\nx = 1\n```")
        'x = 1\n'
    """
    found = _FENCE.search(reply)
    return found[1] if found else None
