"""Import of optional dependencies with a message that says which extra to install."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

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
