"""The level's own parts: bubblewrap by its probe, packages by name, inputs that share a process."""

import pytest

from milepost.errors import SettingError
from milepost.jail import process
from milepost.jail.process import Process
from milepost.programs.program import Limits, Program


@pytest.fixture
def without_bubblewrap(monkeypatch):
    monkeypatch.setattr(process, "bubblewrap", lambda: ())


def test_layers_are_what_there_is(without_bubblewrap):
    assert Process().layers == ("landlock", "seccomp", "limits")


def test_bubblewrap_is_added_only_when_it_works(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    for found in (None, str(broken)):
        monkeypatch.setattr(process.shutil, "which", lambda _name, found=found: found)
        process.bubblewrap.cache_clear()
        assert process.bubblewrap() == ()
    process.bubblewrap.cache_clear()


def test_packages_are_loaded_for_programs_that_name_them():
    jail = Process(limits=Limits(timeout_s=2.0))
    numpy = Program(source="import numpy as np\ndef compute_reward(x): return np.tanh(np.array(x)).sum()")
    assert jail.run(numpy, [{"x": [1.0, -1.0]}])[0].value == 0.0
    (answer,) = jail.run(Program(source="import torch\ndef compute_reward(x): return 1"), [{"x": 1}])
    assert answer.reason == "reward_error: ModuleNotFoundError: No module named 'torch'"
    jail.workers.close()


COUNT = Program(source="kept = []\ndef compute_reward(x):\n    kept.append(x)\n    return len(kept)")


@pytest.mark.parametrize(("together", "found"), [(1, [1, 1, 1, 1]), (2, [1, 2, 1, 2]), (8, [1, 2, 3, 4])])
def test_only_inputs_that_share_a_process_can_see_each_other(together, found):
    jail = Process(together=together)
    assert [one.value for one in jail.run(COUNT, [{"x": x} for x in range(4)])] == found
    assert [one.value for one in jail.run(COUNT, [{"x": 1}])] == [1]
    jail.workers.close()


def test_settings():
    with pytest.raises(SettingError, match="together"):
        Process(together=0)


def test_the_whole_memory_of_a_call_is_limited():
    jail = Process(limits=Limits(memory_bytes=32 << 20, timeout_s=2.0))
    program = Program(source="def compute_reward(n): return len(bytes(n))")
    small, large = jail.run(program, [{"n": 8 << 20}, {"n": 64 << 20}])
    assert small.value == 8 << 20
    assert large.reason == "sandbox_limit: memory"
    jail.workers.close()
