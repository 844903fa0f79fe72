"""Filters do what their tables say; measured in processes of their own, because they are for ever."""

import errno
import struct
import subprocess
import sys

import pytest

from milepost.errors import SandboxError
from milepost.jail import seccomp

HEAD = """
import ctypes, errno, os, threading
from milepost.jail import landlock, seccomp
call = ctypes.CDLL(None, use_errno=True).syscall
landlock.give_up_privileges()
seccomp.install({filter})
def refused(*numbers):
    return call(*numbers) == -1 and ctypes.get_errno() == {error}
"""


def run(filter_text, checks, error=errno.EPERM):
    text = HEAD.format(filter=filter_text, error=error) + "".join(f"assert {check}, {check!r}\n" for check in checks)
    return subprocess.run([sys.executable, "-c", text + "os.write(1, b'done')"], capture_output=True, text=True)


def test_at_work_nothing_but_memory_and_pipes_is_left():
    checks = [
        f"refused({number}, 0, 0, 0)"
        for number in (2, 4, 39, 41, 56, 57, 59, 62, 101, 157, 186, 201, 228, 257, 272, 317, 435)
    ]
    checks += ["refused(9, 0, 4096, 7, 34, -1, 0)", "call(9, 0, 4096, 3, 34, -1, 0) != -1"]
    done = run("seccomp.answering()", checks)
    assert done.stdout == "done", done.stderr


def test_an_interpreter_keeps_threads_and_files_but_no_processes_or_network():
    checks = [f"refused({number}, 0, 0, 0)" for number in (41, 42, 57, 58, 62, 101, 165, 272, 321, 425)]
    checks += ["refused(56, 17, 0, 0, 0, 0)", "threading.Thread(target=int).start() is None", "open(os.devnull)"]
    done = run("seccomp.serving()", checks)
    assert done.stdout == "done", done.stderr


def test_calls_can_be_made_absent():
    done = run("seccomp.denying([39], errno.ENOSYS)", ["refused(39)", "call(186) > 0"], errno.ENOSYS)
    assert done.stdout == "done", done.stderr


def test_other_numbering_is_deadly():
    done = run("seccomp.answering()", ["call(0x40000000 + 39)"])
    assert done.returncode < 0


def test_a_filter_is_a_list_of_eight_byte_lines():
    for lines in (seccomp.answering(), seccomp.serving(), seccomp.denying([1], 1)):
        assert len(lines) % 8 == 0
        codes = [struct.unpack("=HBBI", lines[i : i + 8])[0] for i in range(0, len(lines), 8)]
        assert codes[-1] == 0x06
        for place in range(0, len(lines), 8):
            code, yes, no, _ = struct.unpack("=HBBI", lines[place : place + 8])
            assert code != 0x15 or place // 8 + 1 + max(yes, no) < len(codes)


def test_other_machines_are_refused(monkeypatch):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxError, match="riscv64"):
        seccomp.install(seccomp.answering())
