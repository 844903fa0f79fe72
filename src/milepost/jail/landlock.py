"""Landlock: a process gives up files, network connections and signals for ever, without any privilege.

Imports the standard library only. No maintained package offers this (landlock 1.0.0.dev5 is of May 2025), so the three
system calls are made through ctypes; their numbers are the same on all architectures.

Source: linux/landlock.h, and Documentation/userspace-api/landlock.rst of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from milepost.errors import SandboxError

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Number of file rights that each version of the interface knows; later versions know 16."""
_NETWORK_FROM, _SCOPES_FROM = 4, 6


def _call(number: int, *arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    result = int(library.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def version() -> int:
    """Version of the kernel's Landlock interface; 0 where there is none."""
    try:
        return _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    except OSError:
        return 0


def give_up_privileges() -> None:
    """Set no-new-privileges, without which neither Landlock nor a system-call filter may be installed.

    Raises:
        SandboxError: the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise SandboxError(f"no-new-privileges was refused: {os.strerror(ctypes.get_errno())}.")


def restrict(*, readable: Sequence[str] = (), executable: Sequence[str] = ()) -> tuple[str, ...]:
    """Give up every file but the named ones, all TCP ports, and signals to other processes, for this process for ever.

    Args:
        readable: files and folders that may still be read.
        executable: files that may still be read and started.

    Returns:
        What holds now: "files", and "network" and "signals" where the kernel knows them.

    Raises:
        SandboxError: the kernel has no Landlock, or refuses.
    """
    known = version()
    if known == 0:
        raise SandboxError("The kernel offers no Landlock (5.13 and later do, unless it is switched off).")
    rights = (1 << _FILE_RIGHTS.get(known, 16)) - 1
    attributes = struct.pack("=Q", rights)
    if known >= _NETWORK_FROM:
        attributes += struct.pack("=Q", 0b11)  # bind and connect
    if known >= _SCOPES_FROM:
        attributes += struct.pack("=Q", 0b11)  # abstract sockets and signals
    try:
        rules = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
        for path in (*readable, *executable):
            allowed = _READ_FILE | (_EXECUTE if path in executable else 0)
            _allow(rules, path, allowed | (_READ_FOLDER if os.path.isdir(path) else 0))  # noqa: PTH112
        give_up_privileges()
        _call(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0))
        os.close(rules)
    except OSError as error:
        raise SandboxError(f"Landlock was refused: {error}.") from error
    return ("files", *(["network"] if known >= _NETWORK_FROM else []), *(["signals"] if known >= _SCOPES_FROM else []))


def _allow(rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = struct.pack("=Qi", rights, place)
        _call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), beneath, ctypes.c_uint32(0))
    finally:
        os.close(place)
