"""SkyRL's package entered module by module, without running what stands at the doors of its folders."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

ROOT = Path(find_spec("skyrl").origin).parent
DOORS = ("backends", "backends.skyrl_train", "backends.skyrl_train.utils", "train", "train.config", "train.entrypoints")


@contextmanager
def entered() -> Generator[ModuleType]:
    """The module of SkyRL's registries, run as it is."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "skyrl"}
    for name in DOORS:
        door = ModuleType(f"skyrl.{name}")
        door.__path__ = [str(ROOT / name.replace(".", "/"))]
        sys.modules[door.__name__] = door
    sys.modules["skyrl.train.config"].AlgorithmConfig = object
    try:
        yield importlib.import_module("skyrl.backends.skyrl_train.utils.ppo_utils")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "skyrl"]:
            del sys.modules[name]
        sys.modules.update(before)
