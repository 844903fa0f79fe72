"""A writer without a model: fills terms over a card into a program, so that the loop runs without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from milepost import checks
from milepost.part import ChatReply, ChatRequest
from milepost.programs.screening import ENTRY

TERMS: Mapping[str, str] = {
    "reach": "    reach = np.linalg.norm(self.robot.ee_position - self.obj1.position)\n    reward -= reach\n",
    "goal": "    left = np.linalg.norm(self.obj1.position - self.goal.position)\n    reward -= 5 * left\n",
    "near": ("    if np.linalg.norm(self.robot.ee_position - self.obj1.position) < 0.05:\n        reward += 0.3\n"),
    "hand": "    reward -= 5 * np.linalg.norm(self.robot.ee_position - self.goal.position)\n",
    "effort": "    reward -= 0.001 * np.linalg.norm(action)\n",
}
"""Terms by name: hand to object, object to goal, a stage, hand to goal, effort."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """Answers a request for a reward with a program of named terms. Implements `part.Chat`.

    Where a sentence asks for the gripper itself to be moved, the hand takes the place of the object. A term whose name
    stands in what the last round wishes is added, as a model would add what is asked for.
    """

    terms: tuple[str, ...] = ("reach", "goal", "near", "effort")
    model: str = field(default="template", init=False)

    def __post_init__(self) -> None:
        """Check the names."""
        for one in self.terms:
            checks.one_of("terms", one, tuple(TERMS))

    def reply(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply]:
        """Write one program per request."""
        return [ChatReply(text=self._written(request), end="stop", calls=0) for request in requests]

    def _written(self, request: ChatRequest) -> str:
        wishes = " ".join(str(one["content"]).lower() for one in request.messages[2:] if one["role"] == "user")
        asked = wishes.partition("what should change:")[2]
        task = str(request.messages[1]["content"]).rpartition("The task:")[2].lower()
        moved = [("hand" if one in ("reach", "goal") else one) for one in self.terms if one != "near"]
        chosen = moved if "gripper to" in task else self.terms  # where the hand itself is what is to be moved
        terms = [*chosen, *(one for one in TERMS if one not in chosen and one in asked.split())]
        body = "".join(TERMS[one] for one in TERMS if one in terms)
        head = f"import numpy as np\n\ndef {ENTRY}(self, action):\n    reward = 0.0\n"
        return f"```python\n{head}{body}    return reward\n```"
