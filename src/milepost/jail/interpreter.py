"""Level `interpreter`: monty, a Python interpreter in Rust without files, environment, network or introspection."""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import json
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import milepost
from milepost import optional
from milepost.errors import FormatError, SandboxError, SettingError
from milepost.jail import process
from milepost.programs.answers import in_lines, in_words, read_answer
from milepost.programs.program import Answer, Limits, Program

_PURPOSE = "Running programs in the interpreter"
_DEPTH = 200
_GRACE_S = 1.0
_CALL = "\n\nimport json as milepost_json\nmilepost_json.dumps({entry}(**milepost_inputs))\n"
_CLOCK = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@dataclass(kw_only=True, eq=False)
class _Pool:
    """A pool of one worker of monty, opened by the first call and closed at the end of this process."""

    confined: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    stack: contextlib.ExitStack | None = None
    monty: Any = None

    def opened(self) -> Any:
        if self.stack is None:
            package = optional.load("pydantic_monty", extra="jail", purpose=_PURPOSE)
            stack = contextlib.ExitStack()
            binary = None
            if self.confined:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="milepost-jail-")))
                found = optional.load("pydantic_monty._binary", extra="jail", purpose=_PURPOSE).find_monty_binary()
                binary = str(_script(folder, str(found)))
            try:
                self.monty = stack.enter_context(
                    package.Monty(min_processes=1, max_processes=1, binary_path=binary, request_timeout=60.0)
                )
            except (OSError, RuntimeError, package.MontyError) as error:
                stack.close()
                raise SandboxError(f"The interpreter could not be started: {error}.") from error
            self.stack = stack
            atexit.register(self.close)
        return self.monty

    def close(self) -> None:
        with self.lock:
            stack, self.stack, self.monty = self.stack, None, None
            if stack is not None:
                stack.close()


@dataclass(kw_only=True)
class _Printed:
    """The beginning of what a call prints, and whether it was more."""

    most: int
    text: str = ""
    over: bool = False

    def __call__(self, _stream: str, more: str) -> None:
        self.over = self.over or len(self.text) + len(more) > self.most
        self.text = (self.text + more)[: self.most] if len(self.text) < self.most else self.text


def _script(folder: Path, binary: str) -> Path:
    """A file that starts the interpreter with fewer rights; monty can only be told the file to start."""
    place = shlex.quote(str(Path(milepost.__file__).parents[1]))
    command = [sys.executable, "-s", "-S", "-P", "-B", "-m", "milepost.jail.confine", binary]
    path = folder / "monty"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={place} exec {shlex.join(command)} "$@"\n', encoding="utf-8")
    path.chmod(0o700)
    return path


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """Monty, each call in a fresh session; its worker is itself confined where the kernel has Landlock and filters.

    It knows no NumPy, no classes that inherit, and few modules. Open it with `levels.opened`, which shows first that it
    refuses attacks.
    """

    limits: Limits = field(default_factory=Limits)
    level: ClassVar[str] = "interpreter"
    pool: _Pool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Start nothing; the worker is started by the first call."""
        object.__setattr__(self, "pool", _Pool(confined=not process.missing()))

    @property
    def layers(self) -> tuple[str, ...]:
        """What confines a program here."""
        return ("monty", *(["landlock", "seccomp"] if self.pool.confined else []))

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Call the program once per input; answers in their order.

        Raises:
            SettingError: the program wants arrays.
            SandboxError: the interpreter could not be started.
            MissingExtra: pydantic-monty is not installed.
        """
        if program.arrays:
            raise SettingError("The interpreter has no NumPy: use level 'process', or a program without arrays.")
        with self.pool.lock:
            return [self._call(program, one) for one in inputs]

    def _call(self, program: Program, inputs: Mapping[str, Any]) -> Answer:
        printed = _Printed(most=self.limits.output_bytes)
        begun = time.monotonic()
        value, reason = self._fed(program, dict(inputs), printed)
        if printed.over:
            value, reason = None, "sandbox_limit: output"
        return Answer(value=value, reason=reason, output=in_lines(printed.text), seconds=time.monotonic() - begun)

    def _fed(self, program: Program, inputs: dict[str, Any], printed: _Printed) -> tuple[Any, str | None]:
        """The value, or the reason why there is none."""
        package = optional.load("pydantic_monty", extra="jail", purpose=_PURPOSE)
        limits = {
            "max_feed_duration_secs": self.limits.timeout_s,
            "max_memory": self.limits.memory_bytes,
            "max_recursion_depth": _DEPTH,
            "max_suspensions": 1,
        }
        seed = program.digest + json.dumps(inputs, sort_keys=True)
        policy = {"datetime": _CLOCK, "sleep": "zero", "random_start": {"seed": seed}}
        code = program.source + _CALL.format(entry=program.entry)
        try:
            with self.pool.opened().checkout(limits=limits, os_policy=policy) as session:
                text = session.feed_run(code, inputs={"milepost_inputs": inputs}, print_callback=printed)
            return read_answer(str(text).encode("utf-8", "replace"), longest=self.limits.answer_bytes), None
        except package.MontyCrashedError as error:
            return None, f"{'reward_timeout' if error.timed_out else 'sandbox_limit'}: the interpreter was ended"
        except package.MontyError as error:
            return None, _reason(str(error), self.limits)
        except (FormatError, ValueError, TypeError, OverflowError, RecursionError) as error:
            return None, f"reward_error: {in_words(str(error))}"


def _reason(text: str, limits: Limits) -> str:
    line = in_words(text)
    if line.startswith("TimeoutError: feed time limit"):
        return f"reward_timeout: the program took longer than {limits.timeout_s:g} s"
    if line.startswith("MemoryError"):
        return "sandbox_limit: memory"
    if line.startswith("RecursionError"):
        return "sandbox_limit: depth of calls"
    return f"reward_error: {line}"
