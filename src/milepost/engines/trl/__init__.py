"""milepost inside TRL's GRPOTrainer: its rewards, task choices and credit rules; see docs/how-to/trl.md."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

KNOWN = ("1.16",)
"""Versions of TRL whose seam is tested."""


@lru_cache(maxsize=1)
def trainer_class() -> Any:
    """TRL's GRPOTrainer with milepost's credit and task choice; `from milepost.engines.trl import GRPOTrainer`.

    Returns:
        A subclass. It takes one of `recipe` (what a recipe's `build` returns) or `parts`, and `on_forest`, beside TRL's
        own arguments; with `recipe` and without `reward_funcs` the recipe's rewards are used.

    Raises:
        MissingExtra: TRL is not installed.
        SettingError: a TRL whose seam is not known.
    """
    from milepost import optional
    from milepost.engines.trl.trainer import Credited
    from milepost.errors import SettingError

    trl = optional.load("trl", extra="trl", purpose="milepost in TRL")
    if trl.__version__.rpartition(".")[0] not in KNOWN:
        raise SettingError(f"TRL {trl.__version__} is not known, only {', '.join(KNOWN)}: pip install 'milepost[trl]'")

    return type("GRPOTrainer", (Credited, trl.GRPOTrainer), {"__doc__": Credited.__doc__})


def __getattr__(name: str) -> Any:
    """The trainer, made when it is first asked for: TRL takes seconds to import."""
    if name == "GRPOTrainer":
        return trainer_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
