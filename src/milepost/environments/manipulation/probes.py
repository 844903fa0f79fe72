"""Probes of a reward: episodes that succeed, that nearly do, and that do not, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from milepost import checks, keys
from milepost.environments.manipulation.arm import Lift, Rule, expert, played


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One probe."""

    kind: str
    """"expert", "near miss" (the expert, halted before the end), "random" (the expert, mostly disturbed)."""
    lift: Lift


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Plays a third of each kind. Without near misses even a program without a goal tells good from bad."""

    count: int = 18
    steps: int = 110

    def __post_init__(self) -> None:
        """Check the ranges."""
        checks.at_least("count", self.count, 3)
        checks.at_least("steps", self.steps, 10)

    def __call__(self, task: str, key: int) -> list[Probe]:
        """Play.

        Args:
            task: one of `cards.NAMES`.
            key: all randomness comes from it.

        Returns:
            The probes; a near miss is halted at 0.5 to 0.9 of the time at which its expert succeeds.

        Raises:
            UnknownName: no such task.
            MissingExtra: metaworld is not installed.
        """
        found: list[Probe] = []
        for place in range(self.count // 3):
            start = keys.fold(key, "start", place)
            good = played(task, expert(task), self.steps, start)
            found.append(Probe(kind="expert", lift=good))
            share = keys.generator(keys.fold(key, "halt", place)).uniform(0.5, 0.9)
            when = int(good.success.int().argmax()) if good.done else self.steps
            halting = _halted(expert(task), int(share * when))
            found.append(Probe(kind="near miss", lift=played(task, halting, self.steps, start)))
            noisy = _disturbed(expert(task), keys.fold(key, "noise", place))
            found.append(Probe(kind="random", lift=played(task, noisy, self.steps, start)))
        return found


def _halted(rule: Rule, when: int) -> Rule:
    return lambda seen, step: rule(seen, step) if step < when else np.zeros(4)


def _disturbed(rule: Rule, key: int) -> Rule:
    stream = keys.generator(key)

    def disturbed(seen: Any, step: int) -> Any:
        return rule(seen, step) if stream.random() < 0.1 else stream.uniform(-1, 1, 4)

    return disturbed
