"""A cluster of Ray for a while, and work on it that is done exactly once whatever is lost on the way."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from milepost import errors, optional
from milepost.errors import MilepostError, SettingError

_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
"""Of the workers: torch's idle threads otherwise spin and starve their neighbours."""
_MOST_BLOCKS = 1000
_PATIENCE = 5.0
"""Seconds in which a cluster must take a connection."""
_TRIES = 4
"""Ray waits 30 s for its own processes and gives up: on a busy machine that is too short."""

Row = dict[str, Any]


@contextmanager
def cluster(address: str = "auto", *, cpus: int | None = None) -> Generator[Any]:
    """Be connected to a cluster, which is what `mapped` then works on.

    Args:
        address: of a cluster; "auto": the one that runs on this machine or that RAY_ADDRESS names, else a new one on
            this machine; "local": a new one. A process that is connected already stays connected as it is.
        cpus: processors of a new one; None: all.

    Yields:
        The module `ray`. What was started here is ended here.

    Raises:
        MissingExtra: Ray is not installed.
        SettingError: nothing answers at the address, or at that of RAY_ADDRESS.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would otherwise report its use to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = optional.load("ray", extra="ray", purpose="Work on a cluster of Ray")
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address, cpus)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, cpus: int | None) -> None:
    here = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))  # modules beside the user
    environment = {"env_vars": {**_ENVIRONMENT, "PYTHONPATH": here}}
    quiet: Any = {"log_to_driver": False, "logging_level": "ERROR", "runtime_env": environment}
    if address != "local":
        _reach(os.environ.get("RAY_ADDRESS", "") if address == "auto" else address)
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError) as error:
            if address != "auto":
                raise _silent(address, error) from error
        else:
            return
    for trial in range(_TRIES):
        try:
            ray.init(num_cpus=cpus, include_dashboard=False, **quiet)
        except Exception:
            ray.shutdown()
            if trial + 1 == _TRIES:
                raise
        else:
            return


def _reach(address: str) -> None:
    """Raise `SettingError` where no one listens at HOST:PORT or ray://HOST:PORT: Ray would wait there for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # another form, on which Ray has the word
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _silent(address, error) from error


def _silent(address: str, error: Exception) -> SettingError:
    return SettingError(
        f'No cluster of Ray answers at {address!r} ({error}): start one with `ray start --head`, or use "auto" '
        "without RAY_ADDRESS."
    )


def mapped(work: Callable[[Row], Row], rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Do something with every row, side by side, with Ray Data; what a lost worker had not handed over is done again.

    Args:
        work: one row to one row; it must be safe to do twice. The same row gives the same result.
        rows: of values that Arrow can hold.

    Returns:
        One result per row, in order.

    Raises:
        MilepostError: `work` raised one (errors that are not milepost's arrive as Ray's own), or Ray lost or doubled
            a result.
    """
    data = optional.load("ray.data", extra="ray", purpose="Work on a cluster of Ray")
    numbered = [{**row, "number": number} for number, row in enumerate(rows)]
    if not numbered:
        return []
    with _quiet(data):
        items = data.from_items(numbered, override_num_blocks=min(len(numbered), _MOST_BLOCKS))
        found: list[Row] = list(items.map(_Careful(work)).iter_rows())
    failed = [row for row in found if row.get("failed")]
    if failed:
        first = min(failed, key=_number)
        raise getattr(errors, first["kind"], MilepostError)(first["failed"])
    found.sort(key=_number)
    if [row["number"] for row in found] != list(range(len(numbered))):
        raise MilepostError(
            f"Ray handed back {len(found)} results for {len(numbered)} pieces of work, not one for each: nothing was "
            "taken over. Run it again."
        )
    return found


def _number(row: Row) -> int:
    return row["number"]


class _Careful:
    """Turns our own errors into results, so that their words arrive as they are."""

    def __init__(self, work: Callable[[Row], Row]) -> None:
        self.work = work
        self.__name__ = type(work).__name__

    def __call__(self, row: Row) -> Row:
        try:
            return {**self.work(row), "number": row["number"], "failed": ""}
        except MilepostError as error:
            return {"number": row["number"], "failed": str(error), "kind": type(error).__name__}


@contextmanager
def _quiet(data: Any) -> Generator[None]:
    """Ray Data without its progress bars and plans, which would stand between the lines of our own output."""
    context, logger = data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, logger.level, context.enable_operator_progress_bars
    context.enable_progress_bars = context.enable_operator_progress_bars = False
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, level, context.enable_operator_progress_bars = before
        logger.setLevel(level)
