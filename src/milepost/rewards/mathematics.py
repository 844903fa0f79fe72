"""Equality of mathematical answers by math-verify, in a child process that is ended when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
import json
import selectors
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from milepost.errors import FormatError, MissingExtra

_WORKER = Path(__file__).with_name("math_worker.py")
_START_S = 120.0
"""Time the child may take to import sympy."""
_LONGEST = 2_000
"""Characters of an answer that are looked at; a longer one is no final answer."""


@dataclass(kw_only=True)
class _Child:
    """One child process at a time, started when first needed and again after it was ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    process: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, str], timeout_s: float) -> dict[str, Any]:
        with self.lock:
            if self.process is not None and self.process.poll() is not None:
                self.close()  # it died between two requests
            process = self.process or self._start()
            if process.stdin is None:
                raise FormatError("The math worker has no input. Start a new process.")
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                return self._read(process, timeout_s)
            except BaseException:
                self.close()  # a late reply must never answer the next request
                raise

    def _start(self) -> subprocess.Popen[bytes]:
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra(
                "Math answers need the package 'math-verify', which is not installed. "
                "Install it with: pip install 'milepost[lm]'"
            )
        command = [sys.executable, "-I", str(_WORKER)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            self._read(self.process, _START_S)
        except BaseException:
            self.close()
            raise
        return self.process

    def _read(self, process: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any]:
        if process.stdout is None:
            raise FormatError("The math worker has no output. Start a new process.")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise TimeoutError(f"comparing the answers took longer than {timeout_s:g} s")
        line = process.stdout.readline()
        if not line:
            raise FormatError(f"The math worker ended with code {process.wait()} while comparing.")
        return json.loads(line)

    def close(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()


_CHILD = _Child()
atexit.register(_CHILD.close)


def equal_math(gold: str, answer: str, *, timeout_s: float = 5.0) -> bool:
    r"""Say whether an answer has the same mathematical value as the reference.

        simplify(answer - gold) = 0, numbers to 6 decimals, sets, intervals, matrices and equations by their meaning

    Args:
        gold: the reference, LaTeX or plain, such as "\frac{1}{2}".
        answer: what was given; text without an expression is not equal.
        timeout_s: seconds after which the comparison is ended.

    Returns:
        Whether the two are equal.

    Raises:
        FormatError: the reference holds no expression, or the library failed.
        TimeoutError: the comparison took too long; there is no verdict then.
        MissingExtra: math-verify is not installed.

    Source: math-verify 0.9. It returns "not equal" on its own time-outs; here they are no verdict.

    Example:
        >>> equal_math("1/2", "0.5")
        True
    """
    if len(answer) > _LONGEST:
        return False
    reply = _CHILD.ask({"gold": gold, "answer": answer}, timeout_s)
    if "error" in reply:
        raise FormatError(f"math-verify could not compare {answer[:80]!r} with {gold[:80]!r}: {reply['error']}.")
    return bool(reply["equal"])
