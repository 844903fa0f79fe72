"""A command of the user's own: it is attacked before it is used, and its answers are read like any other's."""

import sys

import pytest

from milepost.errors import SandboxError, SettingError
from milepost.jail import levels
from milepost.jail.external import External
from milepost.programs.program import Limits, Program

OPEN = """
import json, sys
order = json.load(sys.stdin)
names = {}
try:
    exec(order["source"], names)
    print(json.dumps({"value": names[order["entry"]](**order["inputs"])}))
except BaseException as error:
    print(json.dumps({"error": repr(error)[:100]}))
"""
GUARDED = """
import json, sys
from milepost.jail.process import Process
from milepost.programs.program import Limits, Program
order = json.load(sys.stdin)
jail = Process(limits=Limits(**order["limits"]))
(answer,) = jail.run(Program(source=order["source"], entry=order["entry"]), [order["inputs"]])
print(json.dumps({"value": answer.value} if answer.reason is None else {"error": answer.reason}))
"""
ONE = Program(source="def compute_reward(x): return x + 1")


def external(text, **settings):
    return External(command=(sys.executable, "-c", text), **settings)


def test_it_answers():
    jail = external(OPEN)
    assert [one.value for one in jail.run(ONE, [{"x": 1}, {"x": 2}])] == [2, 3]
    assert "TypeError" in jail.run(ONE, [{"x": "a"}])[0].reason
    assert jail.layers == (f"command:{sys.executable}",)


def test_a_command_that_isolates_nothing_is_refused():
    with pytest.raises(SandboxError, match="does not hold on this machine: the attack 'read a file' got through"):
        levels.opened("external", command=(sys.executable, "-c", OPEN))


def test_a_command_that_isolates_is_taken():
    jail = levels.opened("external", command=(sys.executable, "-c", GUARDED))
    assert jail.run(ONE, [{"x": 1}])[0].value == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pass", "sandbox_limit: the command ended with code 0"),
        ("import sys; sys.exit(3)", "sandbox_limit: the command ended with code 3"),
        ("print('{\"value\": NaN}')", "reward_error: the answer is not JSON"),
        ("print('x' * 3_000_000)", "sandbox_limit: length of the answer"),
        ("while True: pass", "reward_timeout: the command took too long"),
    ],
)
def test_a_command_without_an_answer(text, reason):
    jail = external(text, limits=Limits(timeout_s=0.2), start_s=0.5)
    assert jail.run(ONE, [{"x": 1}])[0].reason.startswith(reason)


def test_a_command_that_does_not_exist():
    (answer,) = External(command=("milepost-no-such-command",)).run(ONE, [{"x": 1}])
    assert answer.reason.startswith("sandbox_limit: the command could not be started")
    with pytest.raises(SettingError, match="command"):
        External(command=())
