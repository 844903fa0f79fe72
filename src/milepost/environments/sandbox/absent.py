"""Import of a package without the clients of models that it names and that are never called here."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Empty(type):
    """Classes of which every attribute is such a class."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty(name, (), {})


class _Absent(ModuleType):
    """Stands for a package that is not installed: every name in it is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Empty(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Take the names that are to be absent, and what is below them."""
        del path, target
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self.names):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty package."""
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


@contextmanager
def absent(names: Sequence[str]) -> Generator[None]:
    """Let imports of the named packages succeed while the block runs, where they are not installed.

    What is imported inside keeps empty classes in their place; afterwards the names are as unknown as before.

    Args:
        names: packages.

    Yields:
        Nothing.

    Example:
        >>> with absent(["a_client_of_models"]):
        ...     from a_client_of_models.chat import Chat
        >>> Chat.__name__
        'Chat'
    """
    parts = [name.split(".") for name in names]
    above = dict.fromkeys(".".join(one[:depth]) for one in parts for depth in range(1, len(one) + 1))
    missing = [name for name in above if name not in sys.modules and not _installed(name)]
    finder = _Finder(missing)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [one for one, module in sys.modules.items() if isinstance(module, _Absent)]:
            del sys.modules[name]


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in is not there
        return False
