"""Docstrings hold what a reader needs: the sections are required where there is something to say.

- Every module, and every public class, function and method, has a summary.
- A public function with four or more parameters speaks of them; one that explains any explains all, and its result.
  The settings of a recipe's `build` are those of its parts, which explain them.
- A public function that raises an error of ours names it. The command catches them all and turns them into exit codes.
- A formula (a public function from tensors and plain numbers to a tensor of numbers, in a stage or among the root
  modules) shows the formula, explains its arguments and its result; in `credit` and `objectives` a source is given, by
  the function or its module. What only moves row numbers about (`Int`, `Bool`) is no formula.
"""

from __future__ import annotations

import ast
import re

SECTIONS = ("Args", "Returns", "Yields", "Raises", "Source", "Limits", "Example", "Examples", "Note", "Notes")
TENSORS = re.compile(r"\b(?:Tensor|Float|Num|Shaped)\b")
INDICES = re.compile(r"\b(?:Int|Bool)\[Tensor, [^\]]*\]")
# Tensors and plain numbers: what takes a forest, a part or a record applies formulas, and is not one.
PLAIN = re.compile(r"(?:(?:Tensor|\w+\[Tensor, [^\]]*\]|int|float|bool|str|None|Sequence\[[^\]]*\]+)(?: \| )?)+")
SOURCED = ("credit", "objectives")
# Formulas live where numbers are computed; recipes, engines and reports compose and show them.
FORMULA_FOLDERS = ("root", "credit", "objectives", "sampling", "rewards", "exploration", "curation", "evaluation")


def is_public(name: str) -> bool:
    """Whether every part of a dotted name is public."""
    return not any(part.startswith("_") for part in name.split("."))


def sections(docstring: str) -> dict[str, str]:
    """Text of each section of a docstring; the summary and what follows it is under ""."""
    found: dict[str, list[str]] = {"": []}
    current = ""
    for line in docstring.splitlines():
        head = re.match(rf"({'|'.join(SECTIONS)}):(.*)", line)
        if head:
            current = head.group(1)
            found[current] = [head.group(2)]
        else:
            found[current].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Names of the parameters, without self and cls."""
    arguments = function.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return [a.arg for a in listed if a is not None and a.arg not in ("self", "cls")]


def is_formula(module, name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is a formula: public, on module level, from tensors (not from a forest) to numbers."""
    if "." in name or not is_public(name) or module.folder not in FORMULA_FOLDERS or function.returns is None:
        return False
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given = [ast.unparse(a.annotation) for a in arguments if a.annotation is not None]
    if not all(PLAIN.fullmatch(annotation) for annotation in given):
        return False
    numbers = [INDICES.sub("", annotation) for annotation in [*given, ast.unparse(function.returns)]]
    return any(TENSORS.search(annotation) for annotation in numbers[:-1]) and bool(TENSORS.search(numbers[-1]))


def undocumented(module) -> list[str]:
    """Public things without a summary."""
    problems = [] if ast.get_docstring(module.tree) else [module.at(module.tree, "the module has no docstring")]
    nested = {id(child) for _, f in module.functions() for child in ast.walk(f) if child is not f}
    named = [(item.name, item) for item in module.classes()] + module.functions()
    for name, node in named:
        if is_public(name) and id(node) not in nested and not ast.get_docstring(node):
            problems.append(module.at(node, f"{name} has no docstring"))
    return problems


def unexplained(module) -> list[str]:
    """Public functions whose parameters or results are not explained."""
    problems = []
    for name, function in module.functions():
        text = ast.get_docstring(function)
        if text is None or "." in name or not is_public(name):
            continue
        found, names = sections(text), parameters(function)
        silent = [n for n in names if not re.search(rf"\b{n}\b", text)]
        if len(names) >= 4 and len(silent) >= 2 and "Args" not in found and module.folder != "recipes":
            problems.append(module.at(function, f"{name} says nothing about {', '.join(silent)}: add an Args section"))
        if "Args" in found:
            missing = [n for n in names if not re.search(rf"\b{n}\b", found["Args"])]
            problems += [module.at(function, f"{name}: Args does not explain {n}") for n in missing]
            returns = "None" if function.returns is None else ast.unparse(function.returns)
            told = {"Returns", "Yields"} & set(found) or text.startswith(("Return ", "Whether "))
            if returns not in ("None", "NoReturn", "Never") and not told:
                problems.append(module.at(function, f"{name} explains its arguments and not its result (Returns)"))
    return problems


def unnamed_errors(module, errors: set[str]) -> list[str]:
    """Public functions that raise an error of ours without naming it."""
    problems = []
    for name, function in module.functions():
        text = ast.get_docstring(function)
        if text is None or "." in name or not is_public(name) or module.folder == "cli":
            continue
        raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None]
        names = {ast.unparse(exc.func if isinstance(exc, ast.Call) else exc).rpartition(".")[2] for exc in raised}
        problems += [
            module.at(function, f"{name} raises {e} and does not say so")
            for e in sorted(names & errors)
            if e not in text
        ]
    return problems


def incomplete_formula(module) -> list[str]:
    """Formulas whose docstring lacks the formula, its arguments, its result or its source."""
    problems = []
    for name, function in module.functions():
        text = ast.get_docstring(function)
        if text is None or not is_formula(module, name, function):
            continue
        found = sections(text)
        if not re.search(r"^    +\S", found[""], flags=re.MULTILINE):
            problems.append(module.at(function, f"{name} shows no formula: an indented block below the summary"))
        problems += [module.at(function, f"{name} has no {s} section") for s in ("Args", "Returns") if s not in found]
        sourced = "Source" in found or "Source:" in (ast.get_docstring(module.tree) or "")
        if module.folder in SOURCED and not sourced:
            problems.append(
                module.at(function, f"{name} names no source: 'Source: ...' here or in the module's docstring")
            )
    return problems


def error_names(source) -> set[str]:
    """Names of the errors of the package."""
    return {item.name for module in source if module.name == "milepost.errors" for item in module.classes()}


def test_everything_public_has_a_docstring(source):
    problems = [problem for module in source for problem in undocumented(module)]
    assert not problems, "\n".join(problems)


def test_arguments_and_results_are_explained(source):
    problems = [problem for module in source for problem in unexplained(module)]
    assert not problems, "\n".join(problems)


def test_errors_are_named(source):
    problems = [problem for module in source for problem in unnamed_errors(module, error_names(source))]
    assert not problems, "\n".join(problems)


def test_formulas_are_complete(source):
    problems = [problem for module in source for problem in incomplete_formula(module)]
    assert not problems, "\n".join(problems)


GOOD = '''"""A module.

Source: nobody.
"""
def mean(value: Float[Tensor, " n"], ok: Tensor) -> Tensor:
    """Mean.

        mean = sum_i value_i / n

    Args:
        value: one number per row.
        ok: which rows count.

    Returns:
        A scalar.

    Raises:
        ShapeError: sizes differ.
    """
    raise ShapeError("sizes differ")
'''


def test_rules_accept_a_good_module(parse):
    module = parse(GOOD)
    assert (
        not undocumented(module)
        + unexplained(module)
        + unnamed_errors(module, {"ShapeError"})
        + incomplete_formula(module)
    )


def test_rules_see_violations(parse):
    assert undocumented(parse("x = 1\n"))
    assert undocumented(parse('"""M."""\nclass A:\n    """A."""\n    def f(self): ...\n'))
    assert not undocumented(
        parse('"""M."""\ndef _f(): ...\nclass _A:\n    def f(self): ...\ndef g():\n    """G."""\n    def h(): ...\n')
    )
    assert unexplained(parse('def f(a, b, c, d):\n    """F."""\n'))
    assert unexplained(parse(GOOD.replace("        ok: which rows count.\n", "")))
    assert unexplained(parse(GOOD.replace("    Returns:\n        A scalar.\n\n", "")))
    assert unnamed_errors(parse(GOOD.replace("    Raises:\n        ShapeError: sizes differ.\n", "")), {"ShapeError"})
    assert incomplete_formula(parse(GOOD.replace("        mean = sum_i value_i / n\n", "")))
    assert incomplete_formula(parse(GOOD.replace("Source: nobody.", "")))
