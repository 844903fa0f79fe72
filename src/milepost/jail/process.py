"""Level `process`: CPython in a child that has given up files, network, processes and all but a few system calls."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from milepost import checks
from milepost.jail import landlock
from milepost.jail.worker import Worker
from milepost.jail.workers import Workers
from milepost.programs.program import Answer, Limits, Program

_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
_NOBODY = ("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL")


@lru_cache(maxsize=1)
def bubblewrap() -> tuple[str, ...]:
    """Command that starts another one in namespaces of its own; empty where bubblewrap is missing or does not work."""
    path = shutil.which("bwrap")
    if path is None:
        return ()
    command = (path, *_NAMESPACES, *_NOBODY, "--new-session", "--ro-bind", "/", "/", "--dev", "/dev", "--")
    test = (*command, "sh", "-c", "test ! -e /proc/1/root/dev/sda && ! touch /milepost-probe 2>&-")
    try:
        done = subprocess.run(test, capture_output=True, timeout=20, env={"PATH": os.defpath}, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if done.returncode == 0 else ()


def missing() -> str:
    """What this machine lacks for the level; empty if nothing."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"it is for x86-64 Linux, this is {platform.system()} {platform.machine()}"
    return "" if landlock.version() else "the kernel offers no Landlock"


@dataclass(frozen=True, kw_only=True)
class Process:
    """Landlock, a system-call filter that allows only what computing needs, limits, and bubblewrap where it works.

    Every call has a process of its own that is forked from one that never ran the program. Open it with
    `levels.opened`, which shows first that it refuses attacks.
    """

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ("numpy",)
    """Packages that a program may import; they are loaded for programs that name them."""
    together: int = 1
    """Inputs that share a process: faster, but such a call can see what earlier ones left behind."""
    level: ClassVar[str] = "process"
    workers: Workers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings; processes are started by the first call."""
        checks.at_least("together", self.together, 1)
        object.__setattr__(self, "workers", Workers(start=self._start, together=self.together))

    def _start(self, program: Program) -> Worker:
        asked = {name for name in self.packages if re.search(rf"\b{name}\b", program.source)}
        if program.arrays:
            asked.add("numpy")
        return Worker.start(program, self.limits, confined=True, packages=sorted(asked), wrap=bubblewrap())

    @property
    def layers(self) -> tuple[str, ...]:
        """What confines a program here."""
        return ("landlock", "seccomp", "limits", *(["bubblewrap"] if bubblewrap() else []))

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Call the program once per input; answers in their order.

        Raises:
            SandboxError: a process could not be started or could not be confined.
        """
        return self.workers.run(program, inputs)
