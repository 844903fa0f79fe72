"""Monty: fresh sessions, limits by its own clock, a worker that is itself confined, and what it does not know."""

import pytest

from milepost.errors import SandboxError, SettingError
from milepost.jail import interpreter, process
from milepost.jail.interpreter import Interpreter
from milepost.programs.program import Limits, Program


@pytest.fixture(scope="module")
def jail():
    made = Interpreter(limits=Limits(timeout_s=0.3, output_bytes=100))
    yield made
    made.pool.close()


def answer(jail, source, **inputs):
    return jail.run(Program(source=source), [inputs])[0]


def test_its_worker_is_confined(jail):
    assert jail.layers == ("monty", "landlock", "seccomp")


def test_on_another_machine_its_worker_is_not(monkeypatch):
    monkeypatch.setattr(process.platform, "system", lambda: "Darwin")
    assert Interpreter().layers == ("monty",)


def test_output_is_kept_and_limited(jail):
    found = answer(jail, "def compute_reward(): print('said')\ncompute_reward()")
    assert found.output == "said\nsaid\n"
    assert found.reason is None
    assert answer(jail, "def compute_reward(): print('\\x1b[2J')").output == "\ufffd[2J\n"
    found = answer(jail, "def compute_reward():\n    for _ in range(1000): print('x' * 50)")
    assert found.reason == "sandbox_limit: output"
    assert len(found.output) == 100


def test_errors_have_their_reasons(jail):
    assert answer(jail, "def compute_reward(:").reason.startswith("reward_error: Expected a parameter")
    assert answer(jail, "x = 1").reason.startswith("reward_error: NameError")
    assert answer(jail, "import numpy\ndef compute_reward(): return 1").reason.startswith("reward_error: Module")
    assert answer(jail, "def compute_reward():\n    while True: pass").reason.startswith("reward_timeout")


def test_arrays_need_another_level(jail):
    with pytest.raises(SettingError, match="use level 'process'"):
        jail.run(Program(source="x", arrays=True), [{}])


def test_an_interpreter_that_cannot_start_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(interpreter, "_script", lambda _folder, _binary: tmp_path / "absent")
    with pytest.raises(SandboxError, match="could not be started"):
        Interpreter().run(Program(source="x = 1"), [{}])


def test_a_worker_that_dies_is_replaced(jail):
    for _ in range(2):
        assert answer(jail, "def compute_reward(): return 1").value == 1
