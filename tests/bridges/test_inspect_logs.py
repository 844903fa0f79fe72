"""Logs that inspect wrote: the archive, whose members are compressed with Zstandard, and the document say the same."""

import json
import zipfile

from milepost.bridges import inspect_logs
from milepost.columns import End
from milepost.traces.record import calls_of
from tests.bridges.examples import FILES, traces


def test_samples_of_both_forms():
    for file in ("inspect.eval", "inspect.json"):
        first, second = traces(inspect_logs.read(FILES / file))
        assert (first.task, second.task) == ("a", "b")
        assert (first.rewards, second.rewards) == ({"includes": 1.0}, {"includes": 0.0})
        assert [m["role"] for m in first.messages] == ["user", "assistant", "tool", "assistant"]
        assert calls_of(first.messages[1])[0].arguments == {"x": 1, "y": 2}


def test_ends_and_scores(tmp_path):
    message = {"role": "user", "content": "x"}
    samples = [
        {"id": 1, "epoch": 2, "messages": [message], "limit": {"type": "message"}, "scores": {"a b": {"value": 0.5}}},
        {"id": 2, "epoch": 1, "messages": [message], "error": {"message": "m"}, "scores": {"s": {"value": {"x": 1}}}},
        {"id": 3, "messages": [message], "limit": {"type": "cost"}},
    ]
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        for number, sample in enumerate(samples):
            archive.writestr(f"samples/{number}.json", json.dumps(sample))
    found = traces(inspect_logs.read(path))
    assert [one.end for one in found] == [End.TURN_LIMIT, End.ERROR, End.BUDGET]
    assert [one.rewards for one in found] == [{"a_b": 0.5}, {"s": None}, {}]
    assert [(one.id, one.draw) for one in found] == [("1:2", 1), ("2:1", 0), ("3:1", 0)]
