"""The loop: what is wrong with a program goes back to the model, and the record keeps every attempt."""

import json
from dataclasses import dataclass, field

import pytest
import torch

from milepost.errors import FormatError
from milepost.jail.levels import opened
from milepost.part import ChatReply
from milepost.rewards.judging.record import Cached, Replay
from milepost.rewards.written.examples import Example
from milepost.rewards.written.prompt import Round
from milepost.rewards.written.writing import Writer
from tests.programs.cube import CARD, program

SAMPLE = (torch.zeros(3, 13), torch.zeros(3, 4))
GOOD = f"```python\n{program('return self.obj1.pos[0]')}```"


@dataclass
class Says:
    """A model with prepared replies, in order; what it is asked is kept."""

    replies: list
    model: str = "prepared"
    asked: list = field(default_factory=list)

    def reply(self, requests):
        self.asked += requests
        return [ChatReply(text=self.replies[len(self.asked) - 1], end="stop") for _ in requests]


def test_errors_go_back_until_it_runs():
    bad = (
        "Sorry.",
        "```python\nimport os\n```",
        f"```python\n{program('return self.obj1.speed')}```",
        f"```python\n{program('return self.obj1.pos[7]')}```",
        GOOD,
    )
    chat = Says(list(bad))
    found = Writer(chat=chat, jail=opened("process")).write(CARD, "Lift.", SAMPLE)
    assert [one.behaviour.partition(": ")[2][:30] for one in found.rounds] == [
        "no fenced code block (stop )", "line 1: import of os; allowed ", "line 5: self.obj1.speed is not",
        "reward_error: IndexError: inde",
    ]  # fmt: skip
    assert "import of os" in chat.asked[2].messages[-1]["content"]
    assert len(found.lineage) == 5
    assert found.card == CARD.digest
    assert found.source == program("return self.obj1.pos[0]")


def test_it_gives_up_and_says_why():
    with pytest.raises(FormatError, match="no program that runs in 2 tries; the last time: no fenced"):
        Writer(chat=Says(["a", "b"]), jail=opened("process"), tries=2).write(CARD, "Lift.", SAMPLE)
    nan = f"```python\n{program('return math.inf')}```"
    with pytest.raises(FormatError, match="steps have no finite number"):
        Writer(chat=Says([nan]), jail=opened("process"), tries=1).write(CARD, "Lift.", SAMPLE)


def test_earlier_rounds_are_kept():
    first = Round(source="x = 1", behaviour="It waits.", wish="Go.")
    found = Writer(chat=Says([GOOD]), jail=opened("process")).write(CARD, "Lift.", SAMPLE, rounds=[first])
    assert found.rounds == (first,)
    assert len(found.lineage) == 2


def test_one_solved_task_is_shown_and_never_the_task_itself():
    chat = Says([GOOD])
    solved = (Example(task="Lift.", source="the answer"), Example(task="Lift and turn.", source="another answer"))
    Writer(chat=chat, jail=opened("process"), examples=solved).write(CARD, "Lift.", SAMPLE)
    said = chat.asked[0].messages[1]["content"]
    assert "another answer" in said
    assert "the answer" not in said


def test_a_recording_answers_without_the_model(tmp_path):
    file = tmp_path / "replies.jsonl"
    chat = Says(["Sorry.", GOOD])
    first = Writer(chat=Cached(chat=chat, file=file), jail=opened("process")).write(CARD, "Lift.", SAMPLE)
    again = Writer(chat=Replay(file=file, model="prepared"), jail=opened("process")).write(CARD, "Lift.", SAMPLE)
    assert again == first
    assert len(chat.asked) == 2
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 2
