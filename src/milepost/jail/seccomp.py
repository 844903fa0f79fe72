"""System-call filters: what a confined process may still ask of the kernel. x86-64 only.

Imports the standard library only. Filters are short programs of the kernel's packet-filter machine; they are built here
from tables, because no maintained package does (pyseccomp 0.1.2 is of 2021 and needs a system library).

Source: linux/seccomp.h, linux/bpf_common.h; Documentation/userspace-api/seccomp_filter.rst; numbers from
arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Mapping

from milepost.errors import SandboxError

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X86_64 = 0xC000003E
_X32 = 0x40000000
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EXECUTABLE_PAGE = 4
_THREAD = 0x00010000
_SET_MODE_FILTER = 1
_SECCOMP = 317

ANSWERING: Mapping[str, int] = {
    "read": 0, "write": 1, "close": 3, "lseek": 8, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "exit": 60, "sigaltstack": 131,
    "futex": 202, "restart_syscall": 219, "exit_group": 231, "set_robust_list": 273, "rseq": 334,
}  # fmt: skip
"""All that a program may ask for while it computes its answer; the pipe and memory, without executable pages. Not the
number of its process either: it rises from call to call."""
PAGES: Mapping[str, int] = {"mmap": 9, "mprotect": 10}
"""Allowed too, but not for pages that can be executed."""

SERVING_DENIED: Mapping[str, int] = {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "bind": 49,
    "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58, "kill": 62, "ptrace": 101, "syslog": 103,
    "pivot_root": 155, "chroot": 161, "acct": 163, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "tkill": 200, "settimeofday": 164, "tgkill": 234,
    "mbind": 237, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "accept4": 288,
    "perf_event_open": 298, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
"""What a trusted interpreter that serves programs must never ask for; everything else it may."""


def _line(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refusal(error: int) -> bytes:
    return _line(_RETURN, 0x00050000 | error)


def _argument(index: int) -> int:
    return _ARGUMENTS + 8 * index


def _head() -> list[bytes]:
    """Kill a process that calls under another architecture's numbers; load the number."""
    return [
        _line(_LOAD, _ARCHITECTURE),
        _line(_EQUAL, _X86_64, 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_AT_LEAST, _X32, 0, 1),
        _line(_RETURN, _KILL),
    ]


def answering() -> bytes:
    """The filter of a program at work: what `ANSWERING` and `PAGES` name is allowed, all else is refused with EPERM."""
    lines = _head()
    for number in PAGES.values():
        lines += [
            _line(_EQUAL, number, 0, 4),
            _line(_LOAD, _argument(2)),
            _line(_ANY_BIT, _EXECUTABLE_PAGE, 1, 0),
            _line(_RETURN, _ALLOW),
            _refusal(errno.EPERM),
        ]
    for number in ANSWERING.values():
        lines += [_line(_EQUAL, number, 0, 1), _line(_RETURN, _ALLOW)]
    return b"".join([*lines, _refusal(errno.EPERM)])


def serving() -> bytes:
    """The filter of a trusted interpreter: `SERVING_DENIED` is refused, threads are allowed, new processes are not."""
    lines = _head()
    lines += [_line(_EQUAL, 435, 0, 1), _refusal(errno.ENOSYS)]  # clone3 hides its flags: the C library uses clone then
    lines += [
        _line(_EQUAL, 56, 0, 4),
        _line(_LOAD, _argument(0)),
        _line(_ANY_BIT, _THREAD, 0, 1),
        _line(_RETURN, _ALLOW),
        _refusal(errno.EPERM),
    ]
    return b"".join([*lines, *_denied(SERVING_DENIED.values(), errno.EPERM), _line(_RETURN, _ALLOW)])


def denying(numbers: Iterable[int], error: int) -> bytes:
    """A filter that answers the given system calls with an error and allows all others.

    Args:
        numbers: x86-64 numbers.
        error: such as `errno.ENOSYS`, by which a kernel says that it lacks a call.

    Returns:
        The filter, for `install`.
    """
    return b"".join([*_head(), *_denied(numbers, error), _line(_RETURN, _ALLOW)])


def _denied(numbers: Iterable[int], error: int) -> list[bytes]:
    return [line for number in numbers for line in (_line(_EQUAL, number, 0, 1), _refusal(error))]


def install(lines: bytes) -> None:
    """Put this process under a filter for ever.

    Args:
        lines: the filter.

    Raises:
        SandboxError: not an x86-64 Linux, or the kernel refuses.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SandboxError(
            f"System-call filters are for x86-64 Linux, this is {platform.system()} {platform.machine()}."
        )
    library = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(lines, len(lines))
    program = struct.pack("=HxxxxxxQ", len(lines) // 8, ctypes.addressof(text))
    if library.syscall(ctypes.c_long(_SECCOMP), ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(0), program) != 0:
        raise SandboxError(f"The system-call filter was refused: {os.strerror(ctypes.get_errno())}.")
