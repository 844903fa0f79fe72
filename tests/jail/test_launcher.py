"""What the serving process hears of a child: answers in pieces, too long, and those that were not asked for."""

import threading
import time
from pathlib import Path

import pytest

from milepost.jail import launcher
from milepost.jail.process import Process
from milepost.jail.worker import Worker
from milepost.programs.program import Limits, Program


def frame(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


def test_answers_in_pieces():
    heard = launcher._Heard(asked=2, first="confined")
    whole = frame(b"{}") + frame(b"[1]")
    complete = [heard.take(whole[i : i + 1], 10) for i in range(len(whole))]
    assert heard.answers == ["{}", "[1]"]
    assert sum(complete) == 2


def test_a_long_answer_is_refused_before_it_is_read():
    heard = launcher._Heard(asked=1, first="confined")
    heard.take((1 << 30).to_bytes(4, "big"), 10)
    assert heard.over == "length of the answer"


def test_answers_without_end_are_not_kept():
    heard = launcher._Heard(asked=2, first="confined")
    assert heard.take(frame(b"") * 1000, 10)
    assert (heard.over, heard.answers) == ("number of answers", [""])


def test_what_is_said_first_is_no_answer():
    heard = launcher._Heard(asked=1)
    heard.take(frame(b"confined") + frame(b"{}"), 4)
    assert (heard.first, heard.answers, heard.over) == ("confined", ["{}"], "")


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


FORGED_REPORT = """
import sys
def compute_reward(x):
    if x == 2:
        text = b'{"unconfined": "no"}'
        sys._getframe(1).f_globals["os"].write(3, len(text).to_bytes(4, "big") + text)
        sys._getframe(1).f_globals["os"]._exit(0)
    return x
"""


def test_a_program_cannot_say_that_it_is_not_confined():
    """What is said after the program has begun is an answer: the other rows of the batch keep theirs."""
    jail = Process()
    answers = jail.run(Program(source=FORGED_REPORT), [{"x": x} for x in (1, 2, 3)])
    jail.workers.close()
    assert [one.value for one in answers] == [1, None, 3]
    assert answers[1].reason == "reward_error: the answer has no form that can be read"


TRACES = """
import gc, os, random, sys, threading
def compute_reward(x):
    seen, frame = [], sys._getframe()
    while frame:
        seen.append(sorted(frame.f_locals) if frame.f_globals is not frame.f_locals else [])
        frame = frame.f_back
    found = [repr(one) for one in gc.get_objects() if isinstance(one, (dict, list)) and len(one) < 9]
    before = [one for one in found if "mark-" in one and str(x["mine"]) not in one]
    numbers = [os.getpid(), os.getppid(), threading.get_native_id(), threading.main_thread().native_id]
    state = [gc.get_count(), gc.get_stats(), sys.getallocatedblocks()]
    return [seen, before, numbers, state, random.Random().random()]
"""


def test_a_call_finds_no_trace_of_the_calls_before():
    """Frames, objects, process numbers, counters of memory and unseeded draws are the same in every call."""
    worker = Worker.start(Program(source=TRACES), Limits(timeout_s=5.0), confined=True, packages=("numpy",))
    try:
        answers = [worker.ask([{"x": {"mine": f"mark-{number}"}}])[0] for number in range(3)]
    finally:
        worker.close()
    assert [one.reason for one in answers] == [None] * 3
    assert answers[0].value == answers[1].value == answers[2].value
    assert "request" not in str(answers[0].value[0])
    assert answers[0].value[1] == []
    assert min(answers[0].value[2][:2]) == -1


def test_what_attends_a_call_has_limited_memory():
    """The process between the serving one and the child is limited, the serving process is not."""
    program = Program(source="def compute_reward(x):\n    while True: pass")
    worker = Worker.start(program, Limits(timeout_s=1.0, answer_bytes=1 << 10), confined=True)
    try:
        asking = threading.Thread(target=worker.ask, args=([{"x": 1}],))
        asking.start()
        time.sleep(0.4)
        own = worker.process.pid
        attending = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in attending]
        asking.join()
    finally:
        worker.close()
    (line,) = [line for text in limits for line in text.splitlines() if line.startswith("Max address space")]
    assert (64 << 20) < int(line.split()[3]) < (1 << 30)
