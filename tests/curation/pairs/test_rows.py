"""Rows for trainers: pairs that share their prompt, labels, whole conversations, and back through TRL's bridge."""

import json

import pytest

from milepost.bridges import trl
from milepost.columns import End
from milepost.curation.pairs.rows import before, conversation_rows, preference_rows, reward_rows, unpaired_rows
from milepost.errors import ColumnError
from milepost.forest import Forest
from milepost.traces.forests import forest_of
from milepost.traces.record import Trace

GROWN = Forest.of(
    [-1, 0, 0, 1, 1, 1],
    {
        "task": ["t", None, None, None, None, None],
        "record": [json.dumps({"prompt": "Q?"}), None, None, None, None, None],
        "text": [None, "look", "guess", "answer", "again", "hm"],
        "result": [None, "seen", "no", None, "seen", "malformed"],
        "end": [0, 0, int(End.PRUNED), int(End.TERMINATED), int(End.PRUNED), int(End.PRUNED)],
        "advantage": [0.0, 1.0, -1.0, 1.0, -1.0, 0.0],
    },
)
USER, LOOK = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "look"}
SEEN, ANSWER = {"role": "user", "content": "seen"}, {"role": "assistant", "content": "answer"}


def test_pairs_share_their_prompt():
    first, second = preference_rows(GROWN)
    assert first == {
        "prompt": [USER],
        "chosen": [LOOK],
        "rejected": [{"role": "assistant", "content": "guess"}],
        "task": "t",
    }
    assert second["prompt"] == [USER, LOOK, SEEN] == before(GROWN, 3)
    assert (second["chosen"], second["rejected"][0]["content"]) == ([ANSWER], "again")


def test_other_shapes():
    assert [row["chosen"][:-1] == row["rejected"][:-1] for row in reward_rows(GROWN)] == [True, True]
    assert [row["label"] for row in unpaired_rows(GROWN)] == [True, False, True, False]
    assert list(conversation_rows(GROWN)) == [{"messages": [USER, LOOK, SEEN, ANSWER]}]
    assert list(conversation_rows(GROWN, GROWN["advantage"] < 0)) == []


def test_every_shape_is_read_back_as_it_was():
    for rows in (preference_rows(GROWN), unpaired_rows(GROWN), conversation_rows(GROWN), reward_rows(GROWN)):
        for row in rows:
            trace = trl.of_value(json.loads(json.dumps(row)), "a", 1)
            assert isinstance(trace, Trace), trace
            assert trl.value_of(trace) == row


def test_stored_conversations_that_are_kept():
    traces = [Trace(id=str(one), messages=[USER, {"role": "assistant", "content": str(one)}]) for one in range(3)]
    forest = forest_of(traces)
    keep = [row // 2 != 1 for row in range(6)]
    found = list(conversation_rows(forest.with_columns({"keep": keep})))
    assert [row["messages"][-1]["content"] for row in found] == ["0", "2"]
    assert len(list(conversation_rows(forest))) == 3


def test_without_credit_there_are_no_pairs():
    with pytest.raises(ColumnError, match="apply a credit rule first"):
        list(preference_rows(GROWN.without("advantage")))
