"""A user's own reward function, with the signature that TRL uses, from a file, a module or an object."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, SupportsFloat, cast

import torch
from torch import Tensor

from milepost.errors import FormatError, SettingError, unknown_name
from milepost.forest import Forest
from milepost.part import Scores
from milepost.rewards import failure
from milepost.rewards.leaf import Leaf, read_leaf

UserFunction = Callable[..., Any]
"""`f(prompts, completions, **columns) -> list[float | None]`, plain or async."""

_OWN = ("prompt", "completion", "completion_ids")
"""Fields that TRL keeps for itself and does not pass as columns."""

_HOW = "Write it as 'mine.py:reward' or 'package.module:reward'."


@dataclass(frozen=True, kw_only=True)
class TrainerState:
    """What a function that asks for `trainer_state` gets: the part of TRL's state that milepost knows."""

    global_step: int | None
    """Updates that the sampling policy had seen; None where it is not stored."""


def _file_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise SettingError(f"The reward file {str(path)!r} does not exist. {_HOW}")
    name = f"milepost_user_{path.stem}_{blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise SettingError(f"The reward file {str(path)!r} is not a Python file. {_HOW}")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and typing look a module up by its name
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def load_function(source: str) -> UserFunction:
    """Load a reward function; a function that was loaded once is not read again.

    Args:
        source: "mine.py:reward" for a file, "package.module:reward" for a module.

    Returns:
        The function.

    Raises:
        SettingError: the source is not of that form, the file or the name does not exist, running the file fails, or
            the name is no function.
    """
    return _load(source, Path.cwd())


@lru_cache(maxsize=64)
def _load(source: str, folder: Path) -> UserFunction:  # noqa: ARG001 - a file of that name in another folder is another
    place, colon, name = source.rpartition(":")
    if not (colon and place and name.isidentifier()):
        raise SettingError(f"The reward function {source!r} has no form that can be read. {_HOW}")
    try:
        module = _file_module(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except SettingError:
        raise
    except (Exception, SystemExit) as error:
        near = (
            f"Did you mean '{place}.py:{name}'?" if Path(f"{place}.py").is_file() else "Run it by itself to see where."
        )
        raise SettingError(
            f"Loading the reward function {source!r} failed: {type(error).__name__}: {error}. {near}"
        ) from error
    if not hasattr(module, name):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise SettingError(str(unknown_name(f"function in {place}", name, callables)))
    function: object = getattr(module, name)
    if not callable(function):
        raise SettingError(f"{source!r} is {type(function).__name__}, expected a function of prompts and completions.")
    return cast("UserFunction", function)


def columns_of(leaves: Sequence[Leaf]) -> dict[str, Any]:
    """Return the arguments that TRL would pass for a batch.

    Args:
        leaves: the trajectories.

    Returns:
        `prompts`, `completions` (strings), `completion_ids` (where there are tokens), `trainer_state`, `log_extra`,
        `log_metric` (both do nothing), and one list per field of the records but "prompt" (None where one lacks it).
    """
    fields = dict.fromkeys(key for leaf in leaves for key in leaf.record)
    columns: dict[str, Any] = {key: [leaf.record.get(key) for leaf in leaves] for key in fields if key not in _OWN}
    versions = [leaf.policy_version for leaf in leaves if leaf.policy_version is not None]
    columns |= {
        "prompts": [leaf.prompt for leaf in leaves],
        "completions": [leaf.completion for leaf in leaves],
        "trainer_state": TrainerState(global_step=max(versions, default=None)),
        "log_extra": _ignore,
        "log_metric": _ignore,
    }
    if all(leaf.token_ids is not None for leaf in leaves):
        columns["completion_ids"] = [list(leaf.token_ids or ()) for leaf in leaves]
    return columns


def _ignore(*_arguments: object) -> None:
    """Take what a function wants to log; milepost keeps rewards and their failures itself."""


def arguments_for(function: UserFunction, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the columns that a function takes: all with `**columns`, else those it names.

    Args:
        function: the reward function.
        columns: every column there is.

    Returns:
        Keyword arguments for the call.

    Raises:
        SettingError: the function asks for a column that does not exist, or takes arguments by position only.
    """
    parameters = inspect.signature(function).parameters
    open_ended = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    named = {
        name: item for name, item in parameters.items() if item.kind in (item.KEYWORD_ONLY, item.POSITIONAL_OR_KEYWORD)
    }
    positional = [name for name, item in parameters.items() if item.kind is item.POSITIONAL_ONLY]
    missing = [name for name, item in named.items() if item.default is item.empty and name not in columns]
    if positional or missing:
        what = f"by position only: {positional}" if positional else f"that do not exist: {missing}"
        raise SettingError(
            f"The reward function {getattr(function, '__name__', function)!r} asks for columns {what}. "
            f"It can name: {', '.join(sorted(columns))}; or take **columns."
        )
    return {name: value for name, value in columns.items() if open_ended or name in named}


async def _awaited(pending: Any) -> Any:
    return await pending


def call_function(function: UserFunction, leaves: Sequence[Leaf]) -> list[float | None]:
    """Call a reward function for a batch and read its answer.

    Args:
        function: plain or async.
        leaves: the trajectories.

    Returns:
        One number per trajectory; None where the function gives none.

    Raises:
        SettingError: the function asks for columns that do not exist.
        FormatError: it returned something else than one number or None per trajectory.
    """
    given = function(**arguments_for(function, columns_of(leaves)))
    if inspect.isawaitable(given):
        given = asyncio.run(_awaited(given))
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise FormatError(f"the function returned {type(cast('object', given)).__name__}, expected a list of numbers")
    values = list(cast("Iterable[object]", given))
    if len(values) != len(leaves):
        raise FormatError(f"the function returned {len(values)} values for {len(leaves)} completions")
    return [_number(value) for value in values]


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat):
        raise FormatError(f"the function returned {value!r:.60}, expected a number or None")
    return float(value)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A user's own reward function, called once per batch as TRL calls it. Implements `part.Reward`.

    What it raises or answers wrongly costs only the rows concerned: `guard.score` then asks row by row.

    Example:
        >>> from milepost.rewards import guard
        >>> def brief(completions, **columns):
        ...     return [1 / len(completion) for completion in completions]
        >>> forest = Forest.of([-1, 0, 0], {"text": ["?", "four", ""]})
        >>> scored = guard.score(Function(source=brief), forest)
        >>> scored["reward.brief"].tolist(), scored.text("reason.brief")[2]
        ([nan, 0.25, nan], 'reward_error: ZeroDivisionError: division by zero')
    """

    source: str | UserFunction
    """"mine.py:reward", "package.module:reward", or the function itself (which a saved configuration cannot hold)."""
    label: str = ""
    """Name of the columns it fills; default: the function's name, or "function" for a lambda."""
    low: float = -math.inf
    """Smallest value that is believed; below it the row is not ok."""
    high: float = math.inf
    """Largest value that is believed; above it the row is not ok."""
    when: ClassVar[Literal["step", "leaf"]] = "leaf"
    side: ClassVar[Literal["before", "after"]] = "after"

    def __post_init__(self) -> None:
        """Check the form of the source and the range; the function itself is loaded by `load`."""
        if isinstance(self.source, str) and ":" not in self.source:
            raise SettingError(f"The reward function {self.source!r} has no form that can be read. {_HOW}")
        if self.label and not self.label.isidentifier():
            raise SettingError(f"label={self.label!r} cannot name a column: use letters, digits and underscores.")
        if not self.low < self.high:
            raise SettingError(f"low={self.low} and high={self.high} leave no range: choose low below high.")

    @property
    def name(self) -> str:
        """Name of the columns it fills."""
        if self.label:
            return self.label
        if isinstance(self.source, str):
            return self.source.rpartition(":")[2]
        own = str(getattr(self.source, "__name__", type(self.source).__name__))
        return own if own.isidentifier() else "function"

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value that is believed."""
        return self.low, self.high

    def load(self) -> UserFunction:
        """Load the function, so that a mistake in its name or file shows before a run starts."""
        return load_function(self.source) if isinstance(self.source, str) else self.source

    def __call__(self, forest: Forest, rows: Tensor) -> Scores:
        """Call the function once for all rows; None becomes a row that is not ok."""
        leaves = [read_leaf(forest, row) for row in cast("list[int]", rows.tolist())]
        values = call_function(self.load(), leaves)
        ok = torch.tensor([value is not None for value in values], dtype=torch.bool)
        numbers = torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float32)
        none = failure.reason("reward_error", "the function returned None")
        return Scores(values=numbers, ok=ok, reasons=[none if value is None else None for value in values])
