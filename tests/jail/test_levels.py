"""Every level that this machine has refuses every attack of the corpus, and leaves the machine as it was."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from milepost.errors import SandboxError, SettingError, UnknownName
from milepost.jail import levels
from milepost.jail.probe import Probe
from milepost.programs.program import Limits, Program
from tests.jail.corpus import attacks, together

TIMEOUT_S = 0.4
LIMITS = Limits(timeout_s=TIMEOUT_S, memory_bytes=64 << 20)
BENIGN = "import math\ndef compute_reward(x): return {'near': -abs(x), 'far': math.tanh(x)}"


@pytest.fixture(scope="module", params=["interpreter", "process", "process alone"])
def jail(request):
    """Each level; the second also as it is where there is no bubblewrap."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "process alone":
            patch.setattr(levels.process, "bubblewrap", lambda: ())
            levels._shown.cache_clear()
        yield levels.opened(request.param.partition(" ")[0], limits=LIMITS)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """What attackers are told, and what would show that they got through."""
    monkeypatch.setenv("MILEPOST_SECRET", "planted")
    tmp_path.chmod(0o777)
    for name, text in (("secret", "secret"), ("planted.py", "x = 1")):
        (tmp_path / name).write_text(text, encoding="ascii")
        (tmp_path / name).chmod(0o666)
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        open_for = threading.Event()

        def listen():
            while not open_for.is_set():
                try:
                    heard.append(listener.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield {
            "secret": str(tmp_path / "secret"),
            "folder": str(tmp_path),
            "port": listener.getsockname()[1],
            "parent": os.getpid(),
        }
        open_for.set()
        thread.join()
    assert heard == []


def state_of(folder: Path):
    return {path.name: (path.read_bytes(), path.stat().st_mode, path.stat().st_uid) for path in folder.iterdir()}


def descendants() -> set[str]:
    """Processes below this one, by their number."""
    found: dict[str, str] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                found[path.name] = (path / "stat").read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
    below, grown = {str(os.getpid())}, True
    while grown:
        more = {child for child, parent in found.items() if parent in below} - below
        below, grown = below | more, bool(more)
    return below - {str(os.getpid())}


def test_the_corpus_is_large():
    found = attacks()
    assert len({(one.family, one.name) for one in found}) == len(found) >= 80
    assert {one.family for one in found} == {
        "files", "environment", "network", "processes", "kernel", "memory", "time", "output", "answers", "state",
    }  # fmt: skip


def test_every_attack_is_refused(jail, place):
    before, variables = state_of(Path(place["folder"])), dict(os.environ)
    failed, plain = [], [one for one in attacks() if not one.top and not one.twice]
    bundle = together(plain) if jail.level == "process" else None
    for one in attacks():
        begun = time.monotonic()
        if bundle is not None and one in plain:
            answers = jail.run(bundle, [{"number": plain.index(one), **place}])
        else:
            answers = jail.run(one.program, [place] * (2 if one.twice else 1))
        late = time.monotonic() - begun > (len(answers) * TIMEOUT_S) + 1.5 + (0 if one in plain else 10)
        if late or not one.refused(answers[-1]):
            failed.append((one.family, one.name, answers[-1]))
    assert failed == []
    assert state_of(Path(place["folder"])) == before
    assert dict(os.environ) == variables


def test_honest_programs_run(jail):
    (answer,) = jail.run(Program(source=BENIGN), [{"x": 0.5}])
    assert answer.reason is None
    assert answer.value == pytest.approx({"near": -0.5, "far": 0.46211715726})
    assert jail.run(Program(source=BENIGN), []) == []


def test_a_failure_costs_its_own_row(jail):
    program = Program(source="def compute_reward(x):\n    if x == 3:\n        while True: pass\n    return 6 / x")
    answers = jail.run(program, [{"x": x} for x in (1, 0, 3, 2)])
    assert [one.value for one in answers] == [6.0, None, None, 3.0]
    assert answers[1].reason == "reward_error: ZeroDivisionError: division by zero"
    assert answers[2].reason == "reward_timeout: the program took longer than 0.4 s"


def test_the_same_input_gives_the_same_answer(jail):
    program = Program(source="import random\ndef compute_reward(x): return [random.random(), *map(str, {'a', 'b', x})]")
    first, other, again = jail.run(program, [{"x": "c"}, {"x": "d"}, {"x": "c"}])
    assert first.value == again.value != other.value


def test_nothing_survives(jail, place):
    other = levels.opened(jail.level, limits=LIMITS)
    before = descendants()
    program = Program(source="import os\ndef compute_reward(**place):\n    os.fork()\n    while True: pass")
    other.run(program, [place])
    (other.workers if jail.level == "process" else other.pool).close()
    deadline = time.monotonic() + 5
    while descendants() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants() <= before


def test_unknown_levels_are_refused():
    with pytest.raises(UnknownName, match="Did you mean 'process'"):
        levels.opened("proces")
    with pytest.raises(SettingError, match="only 'external' takes a command"):
        levels.opened("process", command=("true",))
    with pytest.raises(SettingError, match="only 'external' takes a command"):
        levels.opened("external")
    with pytest.raises(UnknownName):
        levels.standing("off")


def test_an_attack_that_gets_through_closes_the_level(monkeypatch):
    levels._shown.cache_clear()
    leak = Probe(attack="read a file", refused=False, how="it answered 'escaped'", seconds=0.0)
    monkeypatch.setattr(levels, "probe", lambda jail, timeout_s: (leak,))
    for level in ("interpreter", "process"):
        with pytest.raises(SandboxError, match="the attack 'read a file' got through"):
            levels.opened(level)
        assert levels.standing(level).missing == "got through: read a file"
    assert levels.opened("off").level == "off"
    levels._shown.cache_clear()


LANDLOCK, SECCOMP, LIMIT = [444, 445, 446], [317], [160, 302]
REMOVED = """
import sys
from milepost.jail import seccomp, landlock
landlock.give_up_privileges()
seccomp.install(seccomp.denying({numbers}, {error}))
from milepost.jail import levels
try:
    levels.opened({level!r})
except Exception as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""


@pytest.mark.parametrize(
    ("level", "numbers", "error", "said"),
    [
        ("process", LANDLOCK, errno.ENOSYS, "SandboxError Level 'process' cannot be had on this machine: the kernel"),
        ("process", LANDLOCK[1:], errno.EPERM, "SandboxError The process that runs programs could not give up"),
        ("process", SECCOMP, errno.EINVAL, "could not be confined: SandboxError: The system-call filter was refused"),
        ("process", LIMIT, errno.EPERM, "SandboxError The process that runs programs could not give up its rights"),
        ("interpreter", SECCOMP, errno.EINVAL, "SandboxError"),
        ("interpreter", LANDLOCK[1:], errno.EPERM, "SandboxError"),
    ],
)
def test_removed_facilities_lead_to_refusal(level, numbers, error, said):
    """The kernel itself refuses what the level needs: a filter takes system calls away before the level is opened."""
    text = REMOVED.format(level=level, numbers=numbers, error=error)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100)
    assert said in done.stdout, done.stdout + done.stderr


def test_a_missing_interpreter_is_named(monkeypatch):
    levels._shown.cache_clear()
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(ImportError, match=r"pip install 'milepost\[jail\]'"):
        levels.opened("interpreter")
    assert "pydantic_monty" in levels.standing("interpreter").missing
    levels._shown.cache_clear()


def test_a_machine_of_another_kind_has_no_process_level(monkeypatch):
    monkeypatch.setattr(levels.process.platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxError, match="riscv64"):
        levels.opened("process")


def test_standing_tells_what_was_tried():
    for level in ("interpreter", "process"):
        found = levels.standing(level)
        assert found.missing == ""
        assert len(found.probes) == 10
        assert all(one.refused for one in found.probes)
        assert found.layers
