"""A file that verifiers wrote: a graph with tokens."""

import json

from milepost.bridges import verifiers
from milepost.columns import End
from milepost.traces.record import Fault
from tests.bridges.examples import FILES, traces


def test_the_graph_its_rewards_and_its_end():
    first, second = traces(verifiers.read(FILES / "verifiers.jsonl"))
    assert first.parents == [-1, 0, 1, 2, 0]
    assert first.task == "sum:1"
    assert first.rewards["correct"] == 1.0
    assert abs(first.rewards["outcome"] - 0.95) < 1e-12
    assert first.messages[3][verifiers.NODE]["logprobs"] == [-0.1]
    assert (second.end, second.rewards) == (End.ERROR, {"correct": None, "outcome": None})


def test_episodes_hold_several_traces(tmp_path):
    lines = (FILES / "verifiers.jsonl").read_text().splitlines()
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"traces": [json.loads(line) for line in lines]}))
    assert len(traces(verifiers.read(path))) == 2


def test_ends():
    node = {"message": {"role": "user", "content": "x"}}
    for fields, end in (
        ({"is_timeout": True}, End.TIME_LIMIT), ({"stop_condition": "max_turns"}, End.TURN_LIMIT), ({}, End.TERMINATED),
    ):  # fmt: skip
        assert verifiers.of_value({"nodes": [node], **fields}, "f", 1).end is end


def test_wrong_nodes_are_named():
    node = {"message": {"role": "user", "content": "x"}}
    for wrong in (
        {**node, "parent": 1},
        {**node, "parent": -1},
        {**node, "parent": True},
        {**node, "token_ids": [1]},
        {},
    ):
        found = verifiers.of_value({"nodes": [node, wrong]}, "f", 1)
        assert isinstance(found, Fault)
        assert found.reason.startswith("node 1 ")
