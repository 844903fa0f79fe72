"""The parent's side of a serving process: start, ask, and end it with everything that it started."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import milepost
from milepost.errors import FormatError, SandboxError
from milepost.jail import frames
from milepost.programs.answers import in_lines, in_words, read_answer
from milepost.programs.program import Answer, Limits, Program

START_S = 60.0
"""Seconds in which a serving process must be ready; loading NumPy on a busy machine takes some."""
GRACE_S = 1.0
"""Seconds beyond a call's limit after which a serving process that does not answer is ended."""
MOST_CALLS = 10_000
LONGEST_LIFE_S = 600.0
CONFINED = "confined"
"""What a child says before it runs the program; only what it says instead can tell that it is not confined."""

_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": str(Path(milepost.__file__).parents[1]),
}
"""All that a serving process is told of the world: one thread, one locale, one order of sets."""


@dataclass(kw_only=True)
class Worker:
    """A serving process for one program; ended by `close`, after which it cannot be used."""

    process: subprocess.Popen[bytes]
    limits: Limits
    layers: tuple[str, ...] = ()
    """What confines it, in its own words."""
    calls: int = 0
    born: float = field(default_factory=time.monotonic)

    @staticmethod
    def start(
        program: Program, limits: Limits, *, confined: bool, packages: Sequence[str] = (), wrap: Sequence[str] = ()
    ) -> Worker:
        """Start a serving process and wait until it has given up its rights.

        Args:
            program: what it serves.
            limits: of every call.
            confined: False leaves it all rights of this process.
            packages: packages that the program may import.
            wrap: command that starts the command, such as bubblewrap's.

        Returns:
            The worker, ready for `ask`.

        Raises:
            SandboxError: it could not be started or could not give up its rights.
        """
        command = [*wrap, sys.executable, "-s", "-S", "-P", "-B", "-m", "milepost.jail.launcher"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        worker = Worker(process=process, limits=limits)
        weakref.finalize(worker, _end, process)  # one that nobody closed is ended when it is forgotten
        order = {
            "source": program.source,
            "entry": program.entry,
            "arrays": program.arrays,
            "packages": list(packages),
            "paths": [_place(name) for name in packages],
            "confined": confined,
            **vars(limits),
        }
        try:
            frames.send(worker._pipe_in, json.dumps(order).encode())
            reply = json.loads(frames.receive(worker._pipe_out, deadline=time.monotonic() + START_S))
        except (EOFError, TimeoutError, OSError) as error:
            worker.close()
            raise SandboxError(f"The process that runs programs did not start: {error}.") from error
        except BaseException:
            worker.close()
            raise
        if "failed" in reply:
            worker.close()
            raise SandboxError(f"The process that runs programs could not give up its rights: {reply['failed']}")
        worker.layers = tuple(reply["layers"])
        return worker

    @property
    def _pipe_in(self) -> int:
        if self.process.stdin is None or self.process.stdin.closed:
            raise SandboxError("the process that runs programs is gone: it was closed")
        return self.process.stdin.fileno()

    @property
    def _pipe_out(self) -> int:
        if self.process.stdout is None or self.process.stdout.closed:
            raise SandboxError("the process that runs programs is gone: it was closed")
        return self.process.stdout.fileno()

    @property
    def spent(self) -> bool:
        """Whether it has served long enough, or is gone."""
        return (
            self.calls >= MOST_CALLS or time.monotonic() - self.born > LONGEST_LIFE_S or self.process.poll() is not None
        )

    def ask(self, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Call the program once per input, all in one child, until one call fails.

        Args:
            inputs: keyword arguments of each call, as JSON has them.

        Returns:
            Answers of the first calls, in order; at least one. The last may be a failure, which ended the child.

        Raises:
            SandboxError: the serving process itself is gone or hangs; it is closed then.
        """
        self.calls += len(inputs)
        deadline = time.monotonic() + self.limits.timeout_s * len(inputs) + GRACE_S
        nonce = hashlib.sha256(f"{self.born!r} {self.calls}".encode()).hexdigest()  # tells no number of calls
        try:
            frames.send(self._pipe_in, json.dumps({"nonce": nonce, "inputs": [*map(dict, inputs)]}).encode())
            reply = json.loads(frames.receive(self._pipe_out, deadline=deadline))
        except (EOFError, TimeoutError, OSError) as error:
            self.close()
            raise SandboxError(f"the process that runs programs is gone: {error}") from error
        except BaseException:
            self.close()  # a late reply must never answer the next call
            raise
        if reply["nonce"] != nonce:
            self.close()
            raise SandboxError("the process that runs programs answered another call")
        return answers_of(reply, self.limits, len(inputs))

    def close(self) -> None:
        """End the process and its children, and wait for them."""
        _end(self.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is None or process.stdin.closed:  # ended before: its number may be another process's by now
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _place(package: str) -> str:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SandboxError(f"The package {package!r} is not installed, so programs cannot be given it.")
    return str(Path(found.origin).parents[1])


def answers_of(reply: Mapping[str, Any], limits: Limits, asked: int) -> list[Answer]:
    """Read what the serving process heard of a child.

    Args:
        reply: `first` (said before the program ran: whether it is confined),
            `answers` (JSON that the program wrote, or tried to), `output`, `over` (limit that it broke), `ended`,
            `seconds`.
        limits: of every call.
        asked: calls that were asked for.

    Returns:
        One answer per call that came to an end, at least one; its reason says why where there is none.

    Raises:
        SandboxError: the program was not run, because its process could not be confined.
    """
    first = str(reply["first"])
    if first and first != CONFINED:
        raise SandboxError(
            f"the program was not run, because its process could not be confined: {in_words(first.partition(':')[2])}"
        )
    output, texts = in_lines(str(reply["output"])), list(reply["answers"])
    seconds = float(reply["seconds"]) / max(1, len(texts))
    found = [dataclasses.replace(judged(text, limits), output=output, seconds=seconds) for text in texts]
    if len(found) == asked:
        return found
    over, ended = str(reply["over"]), str(reply["ended"])
    if over == "time":
        reason = f"reward_timeout: the program took longer than {limits.timeout_s:g} s"
    elif over:
        reason = f"sandbox_limit: {over}"
    else:
        kind = "reward_error" if ended.startswith("code") else "sandbox_limit"
        reason = f"{kind}: the program ended without an answer ({ended})"
    return [*found, Answer(reason=reason, output=output, seconds=seconds)]


def judged(text: str, limits: Limits) -> Answer:
    """Read one answer: `{"value": ...}`, `{"error": words}` or `{"limit": which}`.

    Args:
        text: what came out of the process of the program.
        limits: of the call.

    Returns:
        The value, or the reason why there is none.
    """
    try:
        found = read_answer(text.encode("utf-8", "replace"), longest=limits.answer_bytes)
    except FormatError as error:
        return Answer(reason=f"reward_error: {error}")
    if not isinstance(found, dict) or len(cast("dict[str, Any]", found)) != 1:
        return Answer(reason="reward_error: the answer has no form that can be read")
    ((kind, value),) = cast("dict[str, Any]", found).items()
    words = in_words(str(value))
    if kind == "value":
        return Answer(value=value)
    if kind not in ("limit", "error"):
        return Answer(reason="reward_error: the answer has no form that can be read")
    return Answer(reason=f"{'sandbox_limit' if kind == 'limit' else 'reward_error'}: {words}")
