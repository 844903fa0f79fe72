"""The planner's inner loop as machine code where numba is installed, else as it is written: same numbers, slower."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from milepost import optional
from milepost.planning import collision, kernel

_FUNCTIONS = (
    "distance", "segment_hits_box", "arm_hits", "free", "motion_free", "nearest", "insert", "attach", "add", "move",
    "spheroid_volume", "inside", "sample", "best_cost", "wanted", "cheapest", "reach_goal", "extend", "grow", "prune",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The functions that the planner calls."""

    compiled: bool
    grow: Any
    prune: Any
    insert: Any
    free: Any
    motion_free: Any


@lru_cache(maxsize=2)
def loop(*, fast: bool) -> Loop:
    """Return the inner loop.

    Args:
        fast: as machine code; compiling takes some seconds, once per process.

    Returns:
        Functions with the signatures of `kernel` and `collision`.

    Raises:
        MissingExtra: machine code is asked for and numba is not installed.
    """
    names: dict[str, Any] = {**vars(collision), **vars(kernel)}
    if fast:
        numba = optional.load("numba", extra="planning", purpose="The planner's compiled loop")
        for name in _FUNCTIONS:
            function = names[name]
            names[name] = numba.njit(types.FunctionType(function.__code__, names, name), nogil=True)
    chosen = {name: names[name] for name in ("grow", "prune", "insert", "free", "motion_free")}
    return Loop(compiled=fast, **chosen)
