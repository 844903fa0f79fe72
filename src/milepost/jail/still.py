"""Clocks that stand still: nothing that a program can ask tells it the time, or how many calls there were before.

The kernel gives every process pages with the time in them, which no filter of system calls stops. They are covered
with zeros here: the C library then reads 0, or asks the kernel, and the filter refuses. So also what is written in C,
such as `datetime.now` and NumPy's `datetime64("now")`, has no present. Imports the standard library only.

Source: vdso(7); lib/vdso/gettimeofday.c of Linux: a clock of mode 0 is asked of the kernel.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_OF_A_MOMENT = ("gmtime", "localtime", "ctime")
_READABLE, _OWN_FIXED_EMPTY = 1, 0x32
_FAILED = ctypes.c_void_p(-1).value


def pages() -> list[tuple[int, int]]:
    """Where the kernel keeps the time in the memory of this process: first byte and length of each place.

    Raises:
        OSError: the process may not read its own map.
    """
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        places = [line.split()[0].split("-") for line in file if "[vvar" in line]
    return [(int(first, 16), int(end, 16) - int(first, 16)) for first, end in places]


def cover(places: Sequence[tuple[int, int]]) -> bool:
    """Put zeros in the place of the kernel's time, for ever.

    Args:
        places: what `pages` found in this process, or in the one that it was forked from.

    Returns:
        Whether all were covered; a kernel may seal them.
    """
    put = ctypes.CDLL(None, use_errno=True).mmap
    put.restype = ctypes.c_void_p
    put.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return _FAILED not in [put(first, length, _READABLE, _OWN_FIXED_EMPTY, -1, 0) for first, length in places]


def freeze() -> None:
    """Make `time` answer as at its beginning and sleep return at once; forget the number of the thread."""
    for name in _CLOCKS:
        setattr(time, name, lambda: 0.0)
        setattr(time, f"{name}_ns", lambda: 0)
    time.clock_gettime = lambda _clock: 0.0
    time.clock_gettime_ns = lambda _clock: 0
    time.sleep = lambda _seconds: None
    for name in _OF_A_MOMENT:
        setattr(time, name, _from_zero(getattr(time, name)))
    asctime, strftime, beginning = time.asctime, time.strftime, time.gmtime(0)
    time.asctime = lambda moment=beginning: asctime(moment)
    time.strftime = lambda form, moment=beginning: strftime(form, moment)
    if "threading" in sys.modules:
        vars(sys.modules["threading"].main_thread())["_native_id"] = None


def _from_zero(of: Callable[[float], Any]) -> Callable[..., Any]:
    def told(seconds: float | None = None) -> Any:
        return of(0 if seconds is None else seconds)

    return told
