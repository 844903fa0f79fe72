"""Level `off`: a plain process with the rights of this one. It ends what takes too long and isolates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from milepost.jail.worker import Worker
from milepost.jail.workers import Workers
from milepost.programs.program import Answer, Limits, Program


@dataclass(frozen=True, kw_only=True)
class Off:
    """No isolation: the program can do whatever you can. Only the time, the output and the answer are limited."""

    limits: Limits = field(default_factory=Limits)
    packages: tuple[str, ...] = ()
    """Packages whose folders a program may import from."""
    level: ClassVar[str] = "off"
    layers: ClassVar[tuple[str, ...]] = ()
    workers: Workers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Start nothing; processes are started by the first call."""
        object.__setattr__(self, "workers", Workers(start=self._start))

    def _start(self, program: Program) -> Worker:
        return Worker.start(program, self.limits, confined=False, packages=self.packages)

    def run(self, program: Program, inputs: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Call the program once per input; answers in their order.

        Raises:
            SandboxError: a process could not be started.
        """
        return self.workers.run(program, inputs)
