"""Tokens of verifiers' graphs: there and back, to the number."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from milepost.bridges import verifiers
from milepost.bridges.verifiers_tokens import graphs_of, tokens_of
from milepost.columns import Origin, Role
from milepost.errors import FormatError
from milepost.forest import Forest
from milepost.ragged import Ragged
from milepost.traces.forests import traces_of

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


NUMBER = st.floats(-8, 0, width=32)


@st.composite
def graphs(draw):
    """Nodes of a graph as verifiers writes it: any tree, any tokens, numbers where it has them."""
    nodes = []
    for place in range(draw(st.integers(1, 9))):
        mask = draw(st.lists(st.booleans(), min_size=1, max_size=5)) if place else [False] * draw(st.integers(1, 4))
        sampled = sum(mask)
        role = draw(st.sampled_from(("assistant", "user", "tool"))) if place else "user"
        node = {
            "parent": draw(st.integers(0, place - 1)) if place else None,
            "message": {"role": role, "content": draw(st.text("ab ", max_size=3))},
            "sampled": bool(sampled),
            "token_ids": draw(st.lists(st.integers(0, 2**31 - 1), min_size=len(mask), max_size=len(mask))),
            "mask": mask,
        }
        if role == "tool":
            node["message"]["tool_call_id"] = "c"
        for name in ("logprobs", "advantages"):
            if sampled and draw(st.booleans()):
                node[name] = draw(st.lists(NUMBER, min_size=sampled, max_size=sampled))
        nodes.append(node)
    return nodes


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_random_graphs_come_back_node_by_node(nodes):
    line = {"id": "t", "task": {"type": "T", "data": {}, "key": "k"}, "rewards": {}, "nodes": nodes}
    forest = tokens_of([verifiers.of_value(line, "f", 1)])
    (again,) = traces_of(forest)
    assert verifiers.value_of(again)["nodes"] == nodes
    assert forest["tokens.id"].tolist() == [token for node in nodes for token in node["token_ids"]]
    assert forest["tokens.train"].tolist() == [own for node in nodes for own in node["mask"]]


@st.composite
def grown_forests(draw):
    """Trees as a sampler grows them: below a root any tree of answers, some of them calls with results."""
    parent, ids, train, call, result, text = [-1], [[1]], [[False]], [None], [None], ["Who?"]
    for row in range(1, draw(st.integers(2, 8))):
        parent.append(draw(st.integers(0, row - 1)))
        own, heard = draw(st.integers(1, 3)), draw(st.integers(0, 3))
        ids.append([draw(st.integers(2, 99)) for _ in range(own + heard)])
        train.append([True] * own + [False] * heard)
        call.append(json.dumps({"name": "search", "arguments": {"q": "a"}}) if heard else None)
        result.append("found" if heard else None)
        text.append(None if heard else "Ada")
    count = len(parent)
    value = draw(st.lists(st.floats(-4, 4, width=32), min_size=count, max_size=count))
    known = [row > 0 and draw(st.booleans()) for row in range(count)]
    return Forest.of(parent, {
        "task": ["k", *[None] * (count - 1)],
        "text": text,
        "call": call,
        "result": result,
        "origin": [int(Origin.POLICY if row else Origin.ENVIRONMENT) for row in range(count)],
        "advantage": [one if ok else None for one, ok in zip(value, known, strict=True)],
        "tokens.id": Ragged.of(ids, torch.int32),
        "tokens.train": Ragged.of(train, torch.bool),
        "tokens.log_prob": Ragged.of([[-float(one) if own else 0.0 for one, own in zip(*row, strict=True)]
                                      for row in zip(ids, train, strict=True)], torch.float32),
    })  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(grown_forests())
def test_random_grown_forests_keep_their_tokens_numbers_and_shape(before):
    (trace,) = graphs_of(before)
    after = tokens_of([verifiers.of_value(verifiers.value_of(trace), "f", 1)])
    assert after["tokens.id"].tolist() == before["tokens.id"].tolist()
    mine = before["tokens.train"]
    assert torch.equal(after["tokens.train"], mine)
    if mine.any():
        assert torch.equal(after["tokens.log_prob"][mine], before["tokens.log_prob"][mine])
    told = before["advantage"][before.valid("advantage")]
    again = after["advantage"][after.valid("advantage")] if "advantage" in after else told[:0]
    assert torch.allclose(again.float(), told.float(), rtol=1e-6)
    assert len(after.leaves()) == len(before.leaves())
    assert token_paths(after) == token_paths(before)


def token_paths(forest):
    """Tokens of each trajectory, root to leaf."""
    rows = forest.ragged("tokens.id")
    return [[t for row in forest.path(leaf).tolist() for t in rows[row].tolist()] for leaf in forest.leaves().tolist()]
