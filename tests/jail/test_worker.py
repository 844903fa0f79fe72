"""A serving process that is gone, hangs or answers oddly costs one call; no answer is ever taken for another's."""

import gc
import os
import signal

import pytest

from milepost.errors import SandboxError
from milepost.jail import worker
from milepost.jail.worker import Worker, answers_of, judged
from milepost.programs.program import Limits, Program

LIMITS = Limits(timeout_s=0.3)
REPLY = {"first": "confined", "answers": ['{"value": 1}'], "output": "said", "over": "", "ended": "", "seconds": 0.1}
DOUBLE = Program(source="def compute_reward(x): return 2 * x")


@pytest.fixture
def started():
    made = Worker.start(DOUBLE, LIMITS, confined=True)
    yield made
    made.close()


def test_it_answers(started):
    assert [one.value for one in started.ask([{"x": 1}, {"x": 2}])] == [2, 4]
    assert started.layers[0].startswith("landlock:files")
    assert not started.spent


def test_one_that_was_killed_says_so(started):
    os.kill(started.process.pid, signal.SIGKILL)
    with pytest.raises(SandboxError, match="gone"):
        started.ask([{"x": 1}])
    assert started.spent


def test_one_that_hangs_is_ended(started, monkeypatch):
    monkeypatch.setattr(worker, "GRACE_S", 0.2)
    os.kill(started.process.pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match="no message came in time"):
        started.ask([{"x": 1}])
    assert started.process.returncode == -signal.SIGKILL


def test_it_serves_for_a_limited_time(started, monkeypatch):
    monkeypatch.setattr(worker, "MOST_CALLS", 1)
    started.ask([{"x": 1}])
    assert started.spent


def test_what_cannot_start_is_refused():
    with pytest.raises(SandboxError, match="did not start"):
        Worker.start(DOUBLE, LIMITS, confined=True, wrap=("false",))
    with pytest.raises(SandboxError, match="'no_such_package' is not installed"):
        Worker.start(DOUBLE, LIMITS, confined=True, packages=("no_such_package",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"value": 1e999}', "reward_error: the answer is not JSON of finite numbers"),
        ('{"value": 1, "error": "x"}', "reward_error: the answer has no form"),
        ("[]", "reward_error: the answer has no form"),
        ("", "reward_error: the answer is not JSON"),
        ('{"error": "a\\u001b\\nb"}', "reward_error: a\ufffd b"),
        ('{"limit": "memory"}', "sandbox_limit: memory"),
        ('{"unconfined": "no"}', "reward_error: the answer has no form"),
        ('{"value": ["\\ud800"]}', "reward_error: the answer has text that is no Unicode"),
        ('{"value": {"\\udfff": 1}}', "reward_error: the answer has text that is no Unicode"),
    ],
)
def test_answers_that_are_none(text, reason):
    found = judged(text, LIMITS)
    assert found.value is None
    assert found.reason.startswith(reason)


def test_a_program_that_was_not_confined_is_never_an_answer():
    with pytest.raises(SandboxError, match="could not be confined: no"):
        answers_of({**REPLY, "first": "unconfined: no", "answers": []}, LIMITS, 1)


@pytest.mark.parametrize(
    ("over", "ended", "reason"),
    [
        ("time", "signal 9", "reward_timeout: the program took longer than 0.3 s"),
        ("output", "signal 9", "sandbox_limit: output"),
        ("", "signal 11", "sandbox_limit: the program ended without an answer (signal 11)"),
        ("", "code 0", "reward_error: the program ended without an answer (code 0)"),
    ],
)
def test_the_first_call_without_an_answer_has_the_reason(over, ended, reason):
    first, second = answers_of({**REPLY, "over": over, "ended": ended}, LIMITS, 3)
    assert (first.value, first.reason, first.output) == (1, None, "said")
    assert second.reason == reason


def test_what_it_printed_has_no_control_characters():
    (found,) = answers_of({**REPLY, "output": "a\x1b[2J\r\n\tb\u202e\x9b"}, LIMITS, 1)
    assert found.output == "a\ufffd[2J\ufffd\n\tb\ufffd\ufffd"


def test_one_that_is_forgotten_is_ended():
    made = Worker.start(DOUBLE, LIMITS, confined=False)
    process = made.process
    del made
    gc.collect()
    assert process.returncode is not None
    assert process.stdin.closed
    assert process.stdout.closed
