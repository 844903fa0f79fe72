"""Import of optional dependencies with a message that says which extra to install; machine code by one of them."""

from __future__ import annotations

import importlib
import importlib.util
import types
import warnings
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

from milepost.errors import MissingExtra


def load(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency where it is used.

    Args:
        module: dotted module name, such as "reasoning_gym".
        extra: the milepost extra that installs it.
        purpose: what needs it, for the message.

    Returns:
        The imported module.

    Raises:
        MissingExtra: the module is not installed.
    """
    try:
        with warnings.catch_warnings():
            # a package's own odd syntax is no news for the user, and shows where no bytecode is kept
            warnings.simplefilter("ignore", SyntaxWarning)
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        raise MissingExtra(
            f"{purpose} needs the package {missing!r}, which is not installed. "
            f"Install it with: pip install 'milepost[{extra}]'"
        ) from error


def has_compiler() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def machine_code(*functions: types.FunctionType, extra: str, purpose: str) -> dict[str, Any]:
    """Compile functions with numba; the machine code is kept beside their modules for the next process.

    Args:
        functions: plain functions on numbers and arrays; each may call those before it.
        extra: the milepost extra that installs numba.
        purpose: what needs it, for the message.

    Returns:
        The compiled functions by their names.

    Raises:
        MissingExtra: numba is not installed.
    """
    compiled = load("numba", extra=extra, purpose=purpose).njit
    files = sorted({function.__code__.co_filename for function in functions})
    state = 0
    for file in files:  # numba looks for changes in a function's own file only
        state = zlib.crc32(Path(file).read_bytes(), state)
    names: dict[str, Any] = {}
    for function in functions:
        name = function.__name__
        plain = types.FunctionType(function.__code__, {**function.__globals__, **names}, name)
        plain.__qualname__ = f"{name}_{state:08x}"
        try:
            names[name] = compiled(plain, nogil=True, cache=True, _nrt=False)
        except RuntimeError:  # there is no folder to keep it in
            names[name] = compiled(plain, nogil=True)
    return names
