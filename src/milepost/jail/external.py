"""Level `external`: a command that the user names isolates the program, such as one that starts a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from milepost import checks
from milepost.errors import FormatError
from milepost.jail.worker import judged
from milepost.programs.program import Answer, Limits, Program

_START_S = 30.0


@dataclass(frozen=True, kw_only=True)
class External:
    """One command per call. It gets a JSON document on its input and writes one JSON object as its answer.

    The document has `source`, `entry`, `arrays`, `inputs` (keyword arguments) and `limits`; the answer is
    `{"value": ...}`, `{"error": words}` or `{"limit": which}`. Isolation is the
    command's affair: `levels.opened` attacks it first.
    """

    command: tuple[str, ...]
    """Program and arguments; no shell."""
    limits: Limits = field(default_factory=Limits)
    start_s: float = _START_S
    """Seconds that the command may take beyond the call's own limit."""
    level: ClassVar[str] = "external"

    def __post_init__(self) -> None:
        """Check that there is a command."""
        checks.not_empty("command", self.command)
        checks.non_negative("start_s", self.start_s)

    @property
    def layers(self) -> tuple[str, ...]:
        """What confines a program here."""
        return ("command:" + self.command[0],)

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Call the command once per input; answers in their order."""
        return [self._call(program, one) for one in inputs]

    def _call(self, program: Program, inputs: Mapping[str, Any]) -> Answer:
        begun = time.monotonic()
        document = {
            "source": program.source,
            "entry": program.entry,
            "arrays": program.arrays,
            "inputs": dict(inputs),
            "limits": vars(self.limits),
        }
        try:
            child = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,
            )
        except OSError as error:
            return Answer(reason=f"sandbox_limit: the command could not be started: {error}")
        try:
            text, _ = child.communicate(json.dumps(document).encode(), timeout=self.limits.timeout_s + self.start_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return Answer(reason="reward_timeout: the command took too long", seconds=time.monotonic() - begun)
        seconds = time.monotonic() - begun
        if len(text) > self.limits.answer_bytes:
            return Answer(reason="sandbox_limit: length of the answer", seconds=seconds)
        if child.returncode != 0 or not text.strip():
            return Answer(reason=f"sandbox_limit: the command ended with code {child.returncode}", seconds=seconds)
        try:
            found = judged(text.decode("utf-8", "replace"), self.limits)
        except FormatError as error:
            return Answer(reason=f"reward_error: {error}", seconds=seconds)
        return Answer(value=found.value, reason=found.reason, seconds=seconds)
