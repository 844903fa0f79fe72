"""What the serving process hears of a child: answers in pieces, too long, and those that were not asked for."""

import pytest

from milepost.jail import launcher
from milepost.jail.worker import Worker
from milepost.programs.program import Limits, Program


def frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def test_answers_in_pieces():
    heard = launcher._Heard(asked=2)
    whole = frame(b"{}") + frame(b"[1]")
    complete = [heard.take(whole[i : i + 1], 10) for i in range(len(whole))]
    assert heard.answers == ["{}", "[1]"]
    assert sum(complete) == 2


def test_a_long_answer_is_refused_before_it_is_read():
    heard = launcher._Heard(asked=1)
    heard.take((1 << 30).to_bytes(4, "big"), 10)
    assert heard.over == "length of the answer"


def test_answers_without_end_are_not_kept():
    heard = launcher._Heard(asked=2)
    assert heard.take(frame(b"") * 1000, 10)
    assert (heard.over, heard.answers) == ("number of answers", [""])


FLOOD = """
import sys
def compute_reward(x):
    write = sys._getframe(1).f_globals["os"].write
    while x == 1:
        write(3, bytes(1 << 16))
    return x
"""


def test_a_flood_of_empty_answers_is_ended_at_once():
    worker = Worker.start(Program(source=FLOOD), Limits(timeout_s=20.0), confined=True)
    try:
        (answer,) = worker.ask([{"x": 1}])
        assert answer.reason == "sandbox_limit: number of answers"
        assert answer.seconds < 10
        assert worker.ask([{"x": 7}])[0].value == 7
    finally:
        worker.close()


FORGED = """
import os, sys
def compute_reward(x):
    if x == 1:
        write = sys._getframe(1).f_globals["os"].write
        for _ in range(3):
            write(3, (13).to_bytes(4, "big") + b'{"value":666}')
    return x
"""


@pytest.mark.parametrize("together", [1, 3])
def test_forged_answers_reach_nobody_else(together):
    """What a call writes to its pipe can only stand for calls of its own process."""
    worker = Worker.start(Program(source=FORGED), Limits(), confined=True)
    try:
        inputs = [{"x": x} for x in (1, 2, 3)]
        answers = [one for i in range(0, 3, together) for one in worker.ask(inputs[i : i + together])]
        assert [one.value for one in answers] == ([None, 2, 3] if together == 1 else [666, 666, None])
        assert [one.reason for one in answers if one.value is None] == ["sandbox_limit: number of answers"]
        assert worker.ask([{"x": 7}])[0].value == 7
    finally:
        worker.close()


def test_arrays_are_made_of_lists_of_numbers():
    source = "import numpy as np\ndef compute_reward(a, b, c): return [float(np.linalg.norm(a)), type(b).__name__, c]"
    worker = Worker.start(Program(source=source, arrays=True), Limits(), confined=True, packages=("numpy",))
    try:
        (answer,) = worker.ask([{"a": [3, 4], "b": ["x"], "c": 1}])
        assert answer.value == [5.0, "list", 1]
    finally:
        worker.close()
