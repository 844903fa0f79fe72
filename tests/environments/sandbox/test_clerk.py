"""The scripted agent: without mistakes it solves everything, with them the records say which."""

import json

import pytest

from milepost.bridges import chat
from milepost.columns import End
from milepost.environments.sandbox.clerk import ASKS, MISTAKES, Clerk, conversation, pool
from milepost.environments.sandbox.environment import Desk
from milepost.environments.sandbox.tau2 import DOMAINS, Tau2
from milepost.errors import SettingError
from milepost.traces.record import Trace

DESK = Desk(sandbox=Tau2(domain="retail"), train_size=20, turns=60)
TASKS = DESK.train()


@pytest.mark.parametrize("domain", DOMAINS)
def test_following_the_plan_solves_every_task(domain):
    desk = Desk(sandbox=Tau2(domain=domain), train_size=999, held_out_size=999, turns=60)
    tasks = desk.train() + desk.held_out()
    assert [one.answer for one in pool(Clerk(mistakes={}), desk, tasks, count=len(tasks), key=0)] == ["solved"] * len(
        tasks
    )


@pytest.mark.parametrize("kind", MISTAKES)
def test_every_kind_of_mistake_is_made_and_written_down(kind):
    found = list(pool(Clerk(mistakes={kind: 1.0}), DESK, TASKS, count=20, key=3))
    made = [one for one in found if one.mistakes]
    assert {name for one in made for name in one.mistakes} == {kind}
    assert len(made) >= (3 if kind == "silent" else 15)
    ends_badly = kind in ("wrong_entity", "dropped", "silent")
    assert sum(one.solved for one in made) <= 2 if ends_badly else all(one.solved for one in made)


def test_conversations_have_the_shape_of_chat_completions():
    for one in pool(Clerk(), DESK, TASKS, count=10, key=5):
        line = json.loads(json.dumps({"messages": one.messages}))
        read = chat.of_value(line, "a", 1)
        assert isinstance(read, Trace), read
        assert one.end == End.TERMINATED
        assert one.messages[0] == {"role": "user", "content": one.task.record["needs"][0]}
        assert one.messages[1]["content"] == ASKS


def test_the_same_key_makes_the_same_conversation():
    first, second = (list(pool(Clerk(), DESK, TASKS, count=6, key=9)) for _ in range(2))
    assert first == second
    assert first != list(pool(Clerk(), DESK, TASKS, count=6, key=10))


def test_steps_as_messages():
    told = {"action": "call", "thought": "", "name": "f", "arguments": {"a": 1}}
    called, answer = conversation(told, "ok", 4)
    assert called["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert (answer["tool_call_id"], answer["content"]) == ("call_4", "ok")
    assert conversation({"action": "malformed", "thought": "hm"}, "", 0) == [{"role": "assistant", "content": "hm"}]


def test_rates_are_checked():
    with pytest.raises(SettingError, match="mistake"):
        Clerk(mistakes={"slow": 0.1})
    with pytest.raises(SettingError, match="rate of 'deaf'"):
        Clerk(mistakes={"deaf": 1.5})
