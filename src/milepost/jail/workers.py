"""Serving processes kept warm, one per program, and every input answered by them."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from milepost.errors import SandboxError
from milepost.jail.worker import Worker
from milepost.programs.program import Answer, Program

KEPT = 4
"""Programs whose serving processes are kept."""

_OPEN: weakref.WeakSet[Workers] = weakref.WeakSet()


@dataclass(kw_only=True, eq=False)
class Workers:
    """The warm serving processes of one jail; safe to use from several threads, one call at a time."""

    start: Callable[[Program], Worker]
    together: int = 1
    """Inputs that share a child."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    alive: dict[str, Worker] = field(default_factory=dict[str, Worker])

    def __post_init__(self) -> None:
        """Be closed when the interpreter ends."""
        _OPEN.add(self)

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Answer every input; a failure costs its own row only.

        Args:
            program: what is called.
            inputs: keyword arguments of each call.

        Returns:
            One answer per input, in order.

        Raises:
            SandboxError: a process cannot be started or confined.
        """
        found: list[Answer] = []
        with self.lock:
            while len(found) < len(inputs):
                part = inputs[len(found) : len(found) + self.together]
                worker = self._of(program)
                try:
                    found += worker.ask(part)
                except SandboxError as error:
                    if "confined" in str(error):
                        raise
                    found.append(Answer(reason=f"sandbox_limit: {error}"))
        return found

    def _of(self, program: Program) -> Worker:
        worker = self.alive.pop(program.digest, None)
        if worker is not None and worker.spent:
            worker.close()
            worker = None
        if worker is None:
            worker = self.start(program)
        self.alive[program.digest] = worker  # the last used is the last in order
        while len(self.alive) > KEPT:
            self.alive.pop(next(iter(self.alive))).close()
        return worker

    def close(self) -> None:
        """End all processes."""
        with self.lock:
            for worker in self.alive.values():
                worker.close()
            self.alive.clear()


def _close_all() -> None:
    for one in list(_OPEN):
        one.close()


atexit.register(_close_all)
