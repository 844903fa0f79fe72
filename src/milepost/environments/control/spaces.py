"""What simulators show and take, as vectors: observations are flattened, actions are numbered or scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from milepost.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Actions:
    """What a policy may do."""

    count: int = 0
    """Number of actions, where they are numbered; 0 where they are vectors."""
    low: tuple[float, ...] = ()
    """Smallest value of every entry, where actions are vectors."""
    high: tuple[float, ...] = ()
    """Largest value of every entry."""


def actions_of(space: Any) -> Actions:
    """Actions of a Gymnasium space.

    Args:
        space: `Discrete`, or a `Box` with finite bounds.

    Returns:
        The actions.

    Raises:
        SettingError: any other space.
    """
    kind = type(space).__name__
    if kind == "Discrete":
        return Actions(count=int(space.n))
    if kind == "Box" and bool(np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        return Actions(low=tuple(space.low.ravel().tolist()), high=tuple(space.high.ravel().tolist()))
    raise SettingError(f"Actions are {space}, expected Discrete, or a Box with finite bounds: wrap the environment.")


def executed(action: Any, actions: Actions, shape: tuple[int, ...]) -> Any:
    """The action as the simulator takes it: a whole number, or a vector inside its bounds.

    Args:
        action: what the policy chose.
        actions: what there is to choose from.
        shape: of the simulator's vectors.

    Returns:
        An int, or a float32 array; entries beyond a bound are set to it.
    """
    if actions.count:
        return int(action)
    return np.clip(np.asarray(action, dtype=np.float32), actions.low, actions.high).reshape(shape).astype(np.float32)


def flat(space: Any, value: Any) -> NDArray[np.float32]:
    """An observation as one vector.

    Args:
        space: Gymnasium's `Box`, `Discrete`, `MultiDiscrete`, `MultiBinary`, or a `Dict` or `Tuple` of these; text is
            left out.
        value: an observation of that space.

    Returns:
        float32: numbered observations as one-hot vectors, all others as they are; entries of a `Dict` by name.
    """
    parts = _parts(space, value)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _parts(space: Any, value: Any) -> list[NDArray[np.float32]]:
    kind = type(space).__name__
    if kind == "Dict":
        entries = cast("Mapping[str, Any]", space.spaces)
        return [part for name in sorted(entries) for part in _parts(entries[name], value[name])]
    if kind == "Tuple":
        return [part for inner, one in zip(space.spaces, value, strict=True) for part in _parts(inner, one)]
    if kind == "Discrete":
        hot = np.zeros(int(space.n), dtype=np.float32)
        hot[int(value) - int(space.start)] = 1
        return [hot]
    if kind in ("Box", "MultiDiscrete", "MultiBinary"):
        return [np.asarray(value, dtype=np.float32).ravel()]
    return []
