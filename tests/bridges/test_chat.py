"""Chat completions: every shape of a line, and what a line says besides its messages."""

from milepost.bridges import chat
from milepost.columns import End
from milepost.traces.record import Fault, Trace
from tests.bridges.examples import CHAT, LINES


def test_a_line_says_its_id_task_end_and_reward():
    found = chat.of_value(LINES["chat"][0], "f", 1)
    assert (found.id, found.task, found.end, found.rewards) == ("a", "t", End.TERMINATED, {"outcome": 1.0})
    assert found.rest["tools"] == [{"type": "function"}]
    assert chat.of_value(LINES["chat"][4], "f", 1).end is End.TOKEN_LIMIT
    assert chat.of_value(LINES["chat"][5], "f", 9).rewards == {"a_b": 0.5, "none": None}
    assert chat.of_value(LINES["chat"][5], "f", 9).id == "9"


def test_an_exchange_ends_with_the_answer():
    found = chat.of_value(LINES["chat"][3], "f", 1)
    assert [m["role"] for m in found.messages] == ["system", "user", "assistant"]
    for broken in ({"request": {}}, {"request": {"messages": CHAT}, "response": {"choices": []}}, {"response": {}}):
        assert isinstance(chat.of_value(broken, "f", 1), Fault)


def test_values_of_other_conversations_say_task_and_rewards():
    trace = Trace(id="x", task="t", messages=CHAT, rewards={"outcome": 0.5})
    value = chat.value_of(trace)
    assert value == {"id": "x", "task_id": "t", "rewards": {"outcome": 0.5}, "messages": CHAT}
    assert chat.of_value(value, "f", 1).rewards == {"outcome": 0.5}
