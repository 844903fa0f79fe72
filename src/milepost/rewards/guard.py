"""Every reward call of the engine goes through here: a failure becomes a row that is not ok, never 0, never a crash."""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from milepost import checks
from milepost.columns import End
from milepost.errors import FormatError, ShapeError
from milepost.forest import Forest, Given
from milepost.part import Reward, Scores
from milepost.rewards import failure

TIMEOUT_S = 60.0
"""Seconds that one call of a reward may take, whatever the number of rows, unless it is `Slow`."""

MOST_TIMEOUTS = 3
"""Rows asked about one by one that may time out; the rest is not tried then, so that a step cannot take for ever."""


@runtime_checkable
class Slow(Protocol):
    """A reward that says itself how long a call may take, such as one that asks a server."""

    @property
    def timeout_s(self) -> float:
        """Seconds that one call may take, whatever the number of rows."""
        ...


@dataclass(kw_only=True)
class _Call:
    """What a reward's thread brings back."""

    scores: Scores | None = None
    error: BaseException | None = None


@dataclass(kw_only=True)
class _Collected:
    """Verdicts of the rows asked about, in their order, and how often each was asked about."""

    values: list[float]
    reasons: list[str | None]
    calls: list[int]
    cost: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """What the reward says that each row cost, by unit."""


def call(reward: Reward, forest: Forest, rows: Tensor, *, timeout_s: float) -> Scores:
    """Call a reward in a thread of its own and check what it brings back.

    Args:
        reward: the reward.
        forest: the forest it reads.
        rows: rows to score, int64.
        timeout_s: seconds after which the call is abandoned; its daemon thread may go on, its result is dropped.

    Returns:
        The scores, of the right length and types.

    Raises:
        TimeoutError: the call took too long.
        FormatError: the result is not one value, one ok and one reason per row.
        Exception: whatever the reward raised.
    """
    box, done = _Call(), threading.Event()

    def work() -> None:
        try:
            box.scores = reward(forest, rows)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a reward must not end the run
            box.error = error
        finally:
            done.set()

    name = f"reward {reward.name}"
    threading.Thread(target=contextvars.copy_context().run, args=(work,), name=name, daemon=True).start()
    if not done.wait(timeout_s):
        raise TimeoutError(f"the call for {len(rows)} rows took longer than {timeout_s:g} s")
    if isinstance(box.error, Exception):
        raise box.error
    if box.error is not None:
        raise FormatError(f"the reward tried to end the run with {type(box.error).__name__}")
    return _fitting(box.scores, len(rows))


def _fitting(given: object, count: int) -> Scores:
    if not isinstance(given, Scores):
        raise FormatError(f"the reward returned {type(given).__name__}, expected part.Scores")
    for name, value in (("values", cast("object", given.values)), ("ok", cast("object", given.ok))):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if shape != (count,):
            raise FormatError(f"Scores.{name} is {shape}, expected a tensor of shape ({count},)")
    if given.ok.dtype != torch.bool or given.values.dtype == torch.bool or given.values.is_complex():
        raise FormatError(
            f"Scores has values of {given.values.dtype} and ok of {given.ok.dtype}, expected float and bool"
        )
    odd = [unit for unit, spent in given.cost.items() if spent.shape != (count,) or not bool((spent >= 0).all())]
    if odd:
        raise FormatError(f"Scores.cost has units {odd} without one number of at least 0 for each of {count} rows")
    if len(given.reasons) != count:
        raise FormatError(f"Scores has {len(given.reasons)} reasons, expected {count}")
    return given


def _verdicts(reward: Reward, scores: Scores) -> tuple[list[float], list[str | None]]:
    """Return the value and the reason of each row; a number that is no number, or out of range, is not ok."""
    low, high = reward.range
    values = cast("list[float]", scores.values.detach().double().cpu().tolist())
    reasons: list[str | None] = []
    for value, ok, given in zip(values, cast("list[bool]", scores.ok.tolist()), scores.reasons, strict=True):
        if not ok:
            reasons.append(failure.checked_reason(given))
        elif not math.isfinite(value):
            reasons.append(failure.reason("reward_error", f"the value is {value}"))
        elif not low <= value <= high:
            reasons.append(failure.reason("reward_error", f"the value {value:g} is outside [{low:g}, {high:g}]"))
        else:
            reasons.append(None)
    return values, reasons


def _collect(reward: Reward, forest: Forest, rows: Tensor, timeout_s: float) -> _Collected:
    """Ask for all rows at once; if that call raises, ask for each row by itself, so that only failing rows are lost."""
    if len(rows) == 0:
        return _Collected(values=[], reasons=[], calls=[])
    found = _asked(reward, forest, rows, timeout_s)
    if isinstance(found, _Collected | TimeoutError) or len(rows) == 1:
        return found if isinstance(found, _Collected) else _lost(found, len(rows))
    each: list[_Collected] = []
    timeouts = 0
    for row in rows:
        if timeouts >= MOST_TIMEOUTS:
            skipped = TimeoutError(f"not tried: {timeouts} other rows took longer than {timeout_s:g} s each")
            each.append(replace(_lost(skipped, 1), calls=[0]))
            continue
        one = _asked(reward, forest, row[None], timeout_s)
        timeouts += isinstance(one, TimeoutError)
        each.append(one if isinstance(one, _Collected) else _lost(one, 1))
    return _Collected(
        values=[one.values[0] for one in each],
        reasons=[one.reasons[0] for one in each],
        calls=[1 + one.calls[0] for one in each],
        cost={
            unit: [one.cost.get(unit, [0.0])[0] for one in each]
            for unit in dict.fromkeys(u for o in each for u in o.cost)
        },
    )


def _asked(reward: Reward, forest: Forest, rows: Tensor, timeout_s: float) -> _Collected | Exception:
    """Return the verdicts, or what the reward raised; errors of the set-up are raised."""
    try:
        scores = call(reward, forest, rows, timeout_s=timeout_s)
        values, reasons = _verdicts(reward, scores)
    except failure.SETUP_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - a failed reward is data
        return error
    cost = {unit: cast("list[float]", spent.double().tolist()) for unit, spent in scores.cost.items()}
    return _Collected(values=values, reasons=reasons, calls=[1] * len(rows), cost=cost)


def _lost(error: Exception, count: int) -> _Collected:
    return _Collected(values=[math.nan] * count, reasons=[failure.reason_of(error)] * count, calls=[1] * count)


def score(reward: Reward, forest: Forest, rows: Tensor | None = None, *, timeout_s: float | None = None) -> Forest:
    """Score rows of a forest and write the verdicts, failures included.

    Args:
        reward: the reward.
        forest: the forest; it is not changed.
        rows: rows to score, int64; default: what the reward asks for, leaves or all steps, without roots.
        timeout_s: seconds that one call may take; default: what the reward says if it is `Slow`, else `TIMEOUT_S`. Rows
            of a call that takes longer are all "reward_timeout".

    Returns:
        The forest with `reward.<name>` (NaN where not ok), `ok.<name>`, `reason.<name>`, `cost.reward_calls` raised by
        one each time a row was asked about, and other costs that the reward names. Other rows keep what they had; at
        first: not ok, without a reason. A row failed exactly when it has a reason. Steps that ended in error are not
        asked about: "environment_error".

    Raises:
        SettingError: the reward says that it is set up wrongly, or `timeout_s` is not above 0.
        MissingExtra: the reward needs a package that is not installed.
        ShapeError: a row that the forest does not have, or one given twice.

    Example:
        >>> from milepost.rewards.outcome import Outcome
        >>> forest = Forest.of([-1, 0], {"text": ["?", "<answer>7</answer>"], "record": ['{"answer": "7"}', None]})
        >>> score(Outcome(), forest).text("reason.outcome")[1][:53]
        "reward_error: FormatError: The record names no 'verif"
    """
    if timeout_s is None:
        timeout_s = reward.timeout_s if isinstance(reward, Slow) else TIMEOUT_S
    checks.positive("timeout_s", timeout_s)
    rows = _default_rows(reward, forest) if rows is None else torch.as_tensor(rows, dtype=torch.int64)
    _check_rows(forest, rows)
    broken = torch.zeros(len(rows), dtype=torch.bool)
    if "end" in forest:
        broken = forest["end"][rows] == int(End.ERROR)
    asked = rows[~broken]
    found = _collect(reward, forest, asked, timeout_s)
    marked = _written(reward.name, forest, asked, found)
    ended = int(broken.sum())
    unasked = _Collected(values=[math.nan] * ended, reasons=["environment_error"] * ended, calls=[0] * ended)
    marked = _written(reward.name, marked, rows[broken], unasked)
    return _charged(marked, asked, {"reward_calls": found.calls, **found.cost})


def _default_rows(reward: Reward, forest: Forest) -> Tensor:
    rows = forest.leaves() if reward.when == "leaf" else torch.arange(len(forest))
    return rows[forest.parent[rows] >= 0]


def _check_rows(forest: Forest, rows: Tensor) -> None:
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(forest)):
        raise ShapeError(f"score got rows in [{int(rows.min())}, {int(rows.max())}], expected [0, {len(forest)}).")
    if bool((rows.sort().values.diff() == 0).any()):
        raise ShapeError("score got a row twice, expected each row once.")


def _written(name: str, forest: Forest, rows: Tensor, found: _Collected) -> Forest:
    reward, ok, reason = f"reward.{name}", f"ok.{name}", f"reason.{name}"
    blank = torch.full((len(forest),), math.nan)
    values = forest[reward].clone() if reward in forest else blank
    counts = forest[ok].clone() if ok in forest else torch.zeros(len(forest), dtype=torch.bool)
    reasons = forest.text(reason) if reason in forest else cast("list[str | None]", [None] * len(forest))
    fine = torch.tensor([text is None for text in found.reasons], dtype=torch.bool)
    values[rows] = torch.tensor(found.values, dtype=torch.float32).where(fine, math.nan)
    counts[rows] = fine
    for row, text in zip(cast("list[int]", rows.tolist()), found.reasons, strict=True):
        reasons[row] = text
    return forest.with_columns({reward: values, ok: counts, reason: cast("Sequence[object]", reasons)}).with_valid(
        reward, counts
    )


def _charged(forest: Forest, rows: Tensor, cost: Mapping[str, Sequence[float]]) -> Forest:
    """Add what rows cost to what they had cost before."""
    columns: dict[str, Given] = {}
    for unit, amounts in cost.items():
        name = f"cost.{unit}"
        spent = torch.zeros(len(forest), dtype=torch.float64)
        if name in forest:
            spent = torch.where(forest.valid(name), forest[name].double(), 0)
        columns[name] = spent.index_add(0, rows, torch.tensor(amounts, dtype=torch.float64))
    return forest.with_columns(columns)
