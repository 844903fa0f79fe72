"""A file that tau2 wrote."""

from milepost.bridges import tau2
from milepost.columns import End
from milepost.traces.record import Fault, calls_of
from tests.bridges.examples import FILES, traces


def test_simulations():
    found = traces(tau2.read(FILES / "tau2.json"))
    assert [one.id for one in found] == ["sim0", "sim1", "sim2"]
    assert [one.end for one in found] == [End.TERMINATED, End.TURN_LIMIT, End.ERROR]
    assert [one.rewards["outcome"] for one in found] == [1.0, 0.0, None]
    names = [call.name for message in found[1].messages for call in calls_of(message)]
    assert names[-1] == "no_such_tool"
    answers = [m["content"] for m in found[1].messages if m["role"] == "tool"]
    assert answers[-1] == "Error: Tool 'no_such_tool' not found."


def test_answers_of_parallel_calls_stand_one_by_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        '{"simulations": [3, {"id": "a", "messages": [{"role": "tool", "tool_messages": '
        '[{"role": "tool", "content": "x"}, {"role": "tool", "content": "y"}]}]}]}'
    )
    first, second = tau2.read(path)
    assert isinstance(first, Fault)
    assert [m["content"] for m in second.messages] == ["x", "y"]
