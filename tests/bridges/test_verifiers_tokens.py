"""Tokens of verifiers' graphs: there and back, to the number."""

import json

import pytest
import torch

from milepost.bridges import verifiers
from milepost.bridges.verifiers_tokens import graphs_of, tokens_of
from milepost.columns import Origin, Role
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged

LINE = {
    "id": "t1",
    "task": {"type": "T", "data": {}, "key": "k"},
    "rewards": {"right": {"score": 1.0, "weight": 1.0}},
    "nodes": [
        {"parent": None, "message": {"role": "user", "content": "Who?"}, "token_ids": [1, 2], "mask": [False, False]},
        {
            "parent": 0,
            "message": {"role": "assistant", "content": "Ada"},
            "sampled": True,
            "token_ids": [9, 3, 4],
            "mask": [False, True, True],
            "logprobs": [-0.5, -0.25],
            "advantages": [1.0, 2.0],
        },
        {
            "parent": 0,
            "message": {"role": "assistant", "content": "Bob"},
            "sampled": True,
            "token_ids": [9, 5],
            "mask": [False, True],
            "logprobs": [-1.5],
        },
    ],
}


def test_a_graph_as_a_forest():
    forest = tokens_of([verifiers.of_value(LINE, "f", 1)])
    assert forest.parent.tolist() == [-1, 0, 0]
    assert [forest.ragged("tokens.id")[row].tolist() for row in range(3)] == [[1, 2], [9, 3, 4], [9, 5]]
    assert forest["tokens.train"].tolist() == [False, False, False, True, True, False, True]
    assert forest["tokens.log_prob"][forest.valid("tokens.log_prob")].tolist() == [-0.5, -0.25, -1.5]
    assert forest["tokens.role"].tolist()[:3] == [int(Role.PROMPT), int(Role.PROMPT), int(Role.OBSERVATION)]
    assert (float(forest["advantage"][1]), forest.valid("advantage").tolist()) == (1.5, [False, True, False])


def test_what_was_read_is_written_as_it_was():
    read = verifiers.of_value(LINE, "f", 1)
    forest = tokens_of([read])
    from milepost.traces.forests import traces_of

    (again,) = traces_of(forest)
    assert verifiers.value_of(again)["nodes"] == LINE["nodes"]


def grown():
    """A question, a call with its answer, and a final answer."""
    return Forest.of([-1, 0, 1], {
        "task": ["k", None, None],
        "text": ["Who?", None, "Ada"],
        "call": [None, json.dumps({"name": "search", "arguments": {"q": "a"}}), None],
        "result": [None, "Ada wrote it", None],
        "origin": [int(Origin.ENVIRONMENT), int(Origin.POLICY), int(Origin.POLICY)],
        "advantage": [None, 0.5, -0.5],
        "tokens.id": Ragged.of([[1], [2, 3, 7, 8], [4]], torch.int32),
        "tokens.train": Ragged.of([[False], [True, True, False, False], [True]], torch.bool),
        "tokens.log_prob": Ragged.of([[0.0], [-1.0, -2.0, 0.0, 0.0], [-3.0]], torch.float32),
    })  # fmt: skip


def test_a_grown_forest_as_a_graph():
    (trace,) = graphs_of(grown())
    nodes = verifiers.value_of(trace)["nodes"]
    assert [node["parent"] for node in nodes] == [None, 0, 1, 2]
    assert [node["message"]["role"] for node in nodes] == ["user", "assistant", "tool", "assistant"]
    assert [node["token_ids"] for node in nodes] == [[1], [2, 3], [7, 8], [4]]
    assert [node["sampled"] for node in nodes] == [False, True, False, True]
    assert nodes[1]["logprobs"] == [-1.0, -2.0]
    assert nodes[1]["advantages"] == [0.5, 0.5]
    assert "advantages" not in nodes[2]


def test_there_and_back():
    (trace,) = graphs_of(grown())
    again = tokens_of([verifiers.of_value(verifiers.value_of(trace), "f", 1)])
    before = grown()
    assert again["tokens.id"].tolist() == before["tokens.id"].tolist()
    assert again["tokens.train"].tolist() == before["tokens.train"].tolist()
    mine = before["tokens.train"]
    assert again["tokens.log_prob"][mine].tolist() == before["tokens.log_prob"][mine].tolist()
    assert again["advantage"][again.valid("advantage")].tolist() == [0.5, -0.5]


def test_without_tokens():
    bare = grown().without("tokens.id", "tokens.train", "tokens.log_prob", "advantage")
    (trace,) = graphs_of(bare)
    assert [node["sampled"] for node in verifiers.value_of(trace)["nodes"]] == [False, True, False, True]
    assert "tokens.id" not in tokens_of([trace])


def test_numbers_that_do_not_pair():
    wrong = json.loads(json.dumps(LINE))
    wrong["nodes"][1]["logprobs"] = [-0.5]
    with pytest.raises(FormatError, match="1 logprobs for 2 sampled tokens"):
        tokens_of([verifiers.of_value(wrong, "f", 1)])
