"""Reads a reward program without running it: what it may not use is named. The jail confines what passes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from milepost.programs.card import EnvironmentCard

ENTRY = "compute_dense_reward"
"""The function that a program must define: `compute_dense_reward(self, action)`."""
_NODES = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr,
    ast.If, ast.IfExp, ast.For, ast.Pass, ast.Break, ast.Continue, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.Call, ast.keyword, ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple,
    ast.Dict, ast.Import, ast.alias, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.expr_context, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop, ast.Assert,
)  # fmt: skip
_NAMES = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "pow", "range",
    "round", "sorted", "sum", "tuple", "zip", "True", "False", "None", "np", "math",
}  # fmt: skip
_NUMPY = {
    "abs", "all", "any", "arccos", "arctan2", "array", "asarray", "clip", "concatenate", "cos", "cross", "deg2rad",
    "dot", "exp", "float32", "float64", "inf", "isclose", "linalg", "log", "log1p", "max", "maximum", "mean", "min",
    "minimum", "ndarray", "norm", "pi", "power", "prod", "sign", "sin", "sqrt", "square", "std", "sum", "tanh", "where",
    "zeros",
}  # fmt: skip
_MATH = {
    "acos", "atan2", "cos", "dist", "e", "exp", "fabs", "hypot", "inf", "isclose", "log", "pi", "pow", "sin", "sqrt",
    "tanh",
}  # fmt: skip
_METHODS = {"copy", "dot", "item", "items", "max", "mean", "min", "shape", "sum", "tolist", "values", "append", "get"}


def refused(source: str, card: EnvironmentCard) -> tuple[str, ...]:
    """Reasons why a program is not run.

    Allowed are functions of numbers: arithmetic, `if`, `for` over what there is, calls of numpy and math from a list,
    and `self.<entity>.<attribute>` of the card.

    Args:
        source: Python text.
        card: what the program may read.

    Returns:
        One sentence per reason, in the order of the text; none where it may be run.

    Example:
        >>> refused("import os", EnvironmentCard(name="t", entities=()))[0]
        'line 1: import of os; allowed are numpy as np, and math'
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (f"it is no Python: {error}",)
    found = [
        f"line {getattr(node, 'lineno', 1)}: {said}" for node in ast.walk(tree) for said in _problems(node, tree, card)
    ]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    entries = [node for node in functions if node.name == ENTRY]
    if len(entries) != 1 or [one.arg for one in entries[0].args.args][:2] != ["self", "action"]:
        found.append(f"it must define {ENTRY}(self, action), once")
    return tuple(dict.fromkeys(found))


def _problems(node: ast.AST, tree: ast.Module, card: EnvironmentCard) -> Iterator[str]:
    if not isinstance(node, _NODES):
        yield f"{type(node).__name__} is not allowed"
    elif isinstance(node, ast.Import):
        wrong = [one.name for one in node.names if (one.name, one.asname) not in (("numpy", "np"), ("math", None))]
        yield from (f"import of {name}; allowed are numpy as np, and math" for name in wrong)
    elif isinstance(node, ast.FunctionDef) and (node.decorator_list or node.name.startswith("_")):
        yield f"the function {node.name} has a decorator or a hidden name"
    elif isinstance(node, ast.Name):
        if node.id.startswith("_") or (isinstance(node.ctx, ast.Load) and node.id not in _known(tree)):
            yield f"the name {node.id} is not allowed"
        elif isinstance(node.ctx, ast.Store) and node.id in _NAMES:
            yield f"{node.id} is given another meaning"
    elif isinstance(node, ast.Attribute):
        yield from _attribute(node, card)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift):
        if not isinstance(node.right, ast.Constant) or not isinstance(node.right.value, int | float):
            yield "a power whose exponent is no plain number"
        elif abs(node.right.value) > 16:
            yield "a power above 16"
    elif isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | bool | None):
        yield f"a constant of type {type(node.value).__name__}"


def _known(tree: ast.Module) -> set[str]:
    """Names that the program itself gives a value, and those it is given."""
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    arguments = {one.arg for node in functions for one in [*node.args.args, *node.args.kwonlyargs]}
    return stored | arguments | {node.name for node in functions} | _NAMES


def _attribute(node: ast.Attribute, card: EnvironmentCard) -> Iterator[str]:
    text = ast.unparse(node)
    owner, _, name = text.rpartition(".")
    if node.attr.startswith("_"):
        yield f"the hidden attribute {node.attr}"
    elif not isinstance(node.ctx, ast.Load):
        yield f"{text} is given a value"
    elif owner in ("np", "np.linalg"):
        if name not in _NUMPY:
            yield f"{text} is not among the allowed functions"
    elif owner == "math":
        if name not in _MATH:
            yield f"{text} is not among the allowed functions"
    elif owner == "self":
        if name not in {one.name for one in card.entities}:
            yield f"{text} is not on the card"
    elif owner.startswith("self.") and owner.count(".") == 1:
        if text not in card.symbols:
            yield f"{text} is not on the card"
    elif node.attr not in _METHODS:
        yield f"the attribute {node.attr} is not allowed"
