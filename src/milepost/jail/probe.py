"""Ten small attacks that a level must refuse before it is used: a sandbox that cannot be shown to refuse is absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from milepost.errors import SandboxError
from milepost.programs.program import Jail, Program

ESCAPED = "escaped"
"""What an attack answers when it gets through."""
_SLOW = 1.5
"""Seconds beyond its limit after which a call that must be ended counts as not ended."""

_ATTACKS: Mapping[str, str] = {
    "read a file": "open(secret).read()",
    "write a file": "open(folder + '/written', 'w').write('x')",
    "list the processes": "import os\n    assert len(os.listdir('/proc')) > 5",
    "read the environment": "import os\n    assert 'PATH' in os.environ",
    "open a socket": "import socket\n    socket.socket()",
    "call the kernel by number": "import ctypes\n    assert ctypes.CDLL(None).syscall(41, 2, 1, 0) >= 0",
    "start a process": "import os\n    os.fork()",
    "signal the parent": "import os\n    os.kill(parent, 0)",
    "fill the memory": "kept = [bytes(1 << 20) for _ in range(4096)]",
    "never end": "while True: pass",
}

PROGRAM = Program(
    source="".join(
        f"def attack_{number}(secret, folder, parent):\n    {body}\n" for number, body in enumerate(_ATTACKS.values())
    )
    + f"attacks = [{', '.join(f'attack_{number}' for number in range(len(_ATTACKS)))}]\n"
    "def compute_reward(attack, secret, folder, parent):\n"
    "    if attack >= 0:\n"
    "        attacks[attack](secret, folder, parent)\n"
    f"    return {ESCAPED!r}\n",
)
"""All attacks in one program; a negative number attacks nothing, which shows that the level runs programs at all."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What became of one attack."""

    attack: str
    refused: bool
    how: str
    """Reason with which it was refused."""
    seconds: float


def probe(jail: Jail, *, timeout_s: float) -> tuple[Probe, ...]:
    """Attack a level.

    Args:
        jail: the level, with small limits.
        timeout_s: its limit for one call, against which an endless program is measured.

    Returns:
        One record per attack, up to the first that got through.

    Raises:
        SandboxError: the level cannot even run a harmless program.
    """
    with tempfile.TemporaryDirectory(prefix="milepost-probe-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # the level must refuse; the rights of a file are not what is tested
        secret = folder / "secret"
        secret.write_text("secret", encoding="ascii")
        secret.chmod(0o644)
        place = {"secret": str(secret), "folder": str(folder), "parent": os.getpid()}
        (harmless,) = jail.run(PROGRAM, [{"attack": -1, **place}])
        if harmless.value != ESCAPED:
            raise SandboxError(f"Level {jail.level!r} cannot run a harmless program here: {harmless.reason}.")
        found: list[Probe] = []
        for number, attack in enumerate(_ATTACKS):
            (answer,) = jail.run(PROGRAM, [{"attack": number, **place}])
            written = (folder / "written").exists()
            refused = answer.reason is not None and not written and answer.seconds < timeout_s + _SLOW
            how = answer.reason or f"it answered {answer.value!r:.40}"
            found.append(Probe(attack=attack, refused=refused, how=how, seconds=answer.seconds))
            if not refused:
                break
    return tuple(found)
