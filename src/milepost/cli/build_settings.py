"""A recipe's own settings, read from the syntax tree of its `build` without importing what it composes."""

from __future__ import annotations

import ast
import inspect
import io
import operator
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from milepost import recipe
from milepost.errors import FormatError

_PLAIN: Mapping[str, type[Any]] = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One keyword argument of a recipe's `build`."""

    name: str
    type: Any
    """A plain type, an optional one, a `Literal`, or a tuple of one plain type."""
    default: Any
    doc: str

    @property
    def type_name(self) -> str:
        """The type as it is written in the recipe."""
        return self.type.__name__ if isinstance(self.type, type) else str(self.type).replace("typing.", "")


def of(name: str) -> tuple[Setting, ...]:
    """Settings of a recipe, in the order of its `build`.

    Args:
        name: recipe name as `milepost list` prints it.

    Returns:
        One record per keyword argument; recipes of other packages are imported for it.

    Raises:
        UnknownName: no such recipe.
        FormatError: the recipe has no `build` whose settings are all named, typed and given a default.
    """
    recipe.card(name)
    path = recipe.FOLDER / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        path = Path(inspect.getsourcefile(inspect.unwrap(recipe.builder(name))) or "")
    return _from_source(name, path.read_text(encoding="utf-8"))


def _from_source(name: str, source: str) -> tuple[Setting, ...]:
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "build"]
    if not functions:
        raise FormatError(f"Recipe {name!r} has no function build(): write one, with keyword-only settings.")
    build = functions[0]
    docs = _argument_docs(ast.get_docstring(build) or "")
    comments = _comments(source)
    if build.args.args or build.args.posonlyargs or build.args.vararg or build.args.kwarg:
        raise FormatError(
            f"build() of recipe {name!r} must take keyword-only settings, as in build(*, width: int = 8)."
        )
    found: list[Setting] = []
    for argument, default in zip(build.args.kwonlyargs, build.args.kw_defaults, strict=True):
        if argument.annotation is None or default is None:
            raise FormatError(f"Setting {argument.arg!r} of recipe {name!r} needs a type and a default.")
        try:
            found.append(
                Setting(
                    name=argument.arg,
                    type=_type(argument.annotation),
                    default=ast.literal_eval(default),
                    doc=docs.get(argument.arg) or comments.get(argument.lineno, ""),
                )
            )
        except ValueError as error:
            raise FormatError(
                f"Setting {argument.arg!r} of recipe {name!r} must have a plain type and a literal default: {error}."
            ) from error
    return tuple(found)


def _type(node: ast.expr) -> Any:
    """Type that an annotation names: plain types, None, unions, `Literal[...]` and `tuple[plain, ...]`."""
    if isinstance(node, ast.Constant) and node.value is None:
        return node.value
    if isinstance(node, ast.Name) and node.id in _PLAIN:
        return _PLAIN[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _type(node.left) | _type(node.right)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "Literal":
            return operator.getitem(cast("Any", Literal), tuple(ast.literal_eval(item) for item in inner))
        if node.value.id == "tuple" and ast.unparse(inner[-1]) == "...":
            return tuple[_type(inner[0]), ...]
    raise ValueError(f"{ast.unparse(node)} is not int, float, str, bool, Literal[...], tuple[plain, ...] or a union")


def _comments(source: str) -> dict[int, str]:
    """Comments by line: a recipe has no room for an Args section, but for a comment behind each setting."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT}


def _argument_docs(docstring: str) -> dict[str, str]:
    """What the Args section says of each argument."""
    _, _, after = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in after.splitlines():
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif name and line.startswith(" " * 8):
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found
