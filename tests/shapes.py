"""Shapes in signatures are enforced while testing. conftest.py installs this before milepost is imported.

A function that is given what its annotations say must return what they say. One that is given something else must
raise: bad input is refused with an error of ours, never computed with.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import AbstractArray, jaxtyped


class ShapeLie(AssertionError):
    """A function's annotations are not true."""


def shaped(hint: Any) -> bool:
    """Whether a type mentions the shape of an array."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return issubclass(hint, AbstractArray)
    return any(shaped(inner) for inner in typing.get_args(hint))


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the type, as far as the type speaks of shapes. Binds names of dimensions."""
    if not shaped(hint):
        return True
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any((value is None if one is type(None) else fits(value, one)) for one in inner)
    if origin is tuple and isinstance(value, tuple) and Ellipsis not in inner:
        return len(value) == len(inner) and all(fits(*pair) for pair in zip(value, inner, strict=True))
    if origin is not None:
        return True
    return isinstance(value, hint)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function that speak of shapes."""
    names = dict(vars(sys.modules[function.__module__]))
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            hint = eval(annotation, names) if isinstance(annotation, str) else annotation
        except NameError:  # a name that only the type checker knows
            continue
        if shaped(hint):
            found[name] = hint
    return found


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that checks its shapes; the function itself where it states none."""
    hints = hints_of(function)
    if not hints or inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return function
    signature, result_hint = inspect.signature(function), hints.pop("return", None)

    @functools.wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        with jaxtyped("context"):
            given = signature.bind(*arguments, **named).arguments
            wrong = [name for name, hint in hints.items() if name in given and not fits(given[name], hint)]
            result = function(*arguments, **named)
            place = f"{function.__module__}.{function.__qualname__}"
            if wrong:
                told = ", ".join(f"{name}: {hints[name]} got {describe(given[name])}" for name in wrong)
                raise ShapeLie(f"{place} computed with what its annotations refuse: {told}")
            if result_hint is not None and not fits(result, result_hint):
                raise ShapeLie(f"{place} returned {describe(result)}, and promises {result_hint}")
            return result

    return wrapper


def describe(value: object) -> str:
    """A value's type and shape."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{getattr(value, 'dtype', '')}{tuple(shape)}"


def wrap_module(module: types.ModuleType) -> None:
    """Check every function and method that a module defines."""
    for name, item in list(vars(module).items()):
        if inspect.isfunction(item) and item.__module__ == module.__name__:
            setattr(module, name, checked(item))
        elif inspect.isclass(item) and item.__module__ == module.__name__ and not getattr(item, "_is_protocol", False):
            for method, body in list(vars(item).items()):
                if inspect.isfunction(body):
                    setattr(item, method, checked(body))


class Loader(importlib.abc.Loader):
    """Loads a module as usual, then wraps what it defines."""

    def __init__(self, usual: importlib.abc.Loader) -> None:
        self.usual = usual

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.usual.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self.usual.exec_module(module)
        wrap_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds modules of milepost and gives them the wrapping loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.split(".")[0] != "milepost":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader)
        return spec


def install() -> None:
    """Check the shapes of everything in milepost that is imported from now on."""
    assert "milepost" not in sys.modules, "milepost was imported before its shapes could be checked"
    sys.meta_path.insert(0, Finder())
