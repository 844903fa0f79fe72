"""Start a trusted interpreter with fewer rights: `python -m milepost.jail.confine <file> [arguments]`.

It keeps the file itself and the system's libraries to read, threads, and its three pipes; it loses every other file,
the network, new processes and signals. Imports the standard library only.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from milepost.jail import landlock, seccomp

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")


def main() -> None:
    """Give up rights, then become the interpreter.

    Raises:
        SandboxError: the kernel refuses.
    """
    file, *arguments = sys.argv[1:]
    present = [path for path in _LIBRARIES if Path(path).exists()]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    landlock.restrict(readable=("/proc/self", *present), executable=(file, *present))
    seccomp.install(seccomp.serving())
    os.execve(file, [file, *arguments], {"LC_ALL": "C.UTF-8"})  # noqa: S606


if __name__ == "__main__":
    main()
