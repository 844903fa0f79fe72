"""What a model is told, and what is read of its reply."""

from milepost.rewards.written.examples import Example
from milepost.rewards.written.prompt import Round, code_of, messages
from tests.programs.cube import CARD


def test_messages():
    system, user = messages(CARD, "Lift the cube.")
    assert system["role"] == "system"
    assert CARD.text() in user["content"]
    assert user["content"].endswith("The task: Lift the cube.")
    assert "compute_dense_reward(self, action)" in user["content"]
    rounds = (Round(source="x = 1", behaviour="It waits.", wish="Go."), Round(source="x = 2", behaviour="It ran."))
    told = messages(CARD, "Lift the cube.", rounds)
    assert [one["role"] for one in told[2:]] == ["assistant", "user"] * 2
    assert "What happened: It waits.\nWhat should change: Go." in told[3]["content"]
    assert "What should change" not in told[5]["content"]


def test_solved_tasks_are_shown_before_the_task():
    example = Example(task="Push the drawer shut.", source="def shut(): ...")
    said = messages(CARD, "Press it.", examples=(example,))[1]["content"]
    assert said.index("A solved task: Push the drawer shut.\n\n```python\ndef shut(): ...\n```") < said.index(
        "The task: Press"
    )
    assert "solved" not in messages(CARD, "Press it.")[1]["content"]


def test_the_first_block_is_read():
    assert code_of("a\n```python\nx = 1\n```\n```\ny\n```") == "x = 1\n"
    assert code_of("```\nx\n```") == "x\n"
    assert code_of("no code") is None
    assert code_of("```python\nunfinished") is None
