"""Rows of TRL: a pair is a trace that branches, texts stay texts."""

from milepost.bridges import trl
from milepost.traces.record import Fault, Trace
from tests.bridges.examples import CHAT, LINES


def test_a_pair_branches_after_its_prompt():
    found = trl.of_value(LINES["trl"][3], "f", 1)
    assert found.parents == [-1, 0, 1, 1]
    assert trl.of_value(LINES["trl"][4], "f", 1).parents == [-1, 0, 1, 2, 3, -1, 5, 6]


def test_a_logged_batch_keeps_its_numbers():
    found = trl.of_value(LINES["trl"][1], "f", 1)
    assert found.rewards == {"outcome": 0.25}
    assert found.rest["advantage"] == -1.5


def test_any_conversation_becomes_prompt_and_completion():
    row = trl.value_of(Trace(id="1", messages=CHAT))
    assert row["prompt"] == CHAT[:4]
    assert row["completion"] == CHAT[4:]


def test_faults():
    assert isinstance(trl.of_value({"a": 1}, "f", 1), Fault)
    assert trl.of_value({"prompt": [3]}, "f", 1).reason.startswith("prompt: message 0")
