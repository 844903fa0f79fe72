"""Small files, folders, functions and signatures."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

FILE_LINES, FOLDER_FILES, FUNCTION_LINES, ARGUMENTS, SETTINGS, RECIPE_LINES = 400, 15, 40, 7, 6, 80
ONE_FILE_PER_SYSTEM = {
    "recipes",
    "tests",
    "cli",
}  # one file per published system, one per root module, one per verb
PART_METHODS = {"__call__", "ask", "propose", "reset", "draw", "apply"}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def argument_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters, without self and cls."""
    arguments = function.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return len([n for n in names if n not in ("self", "cls")]) + len(extra)


def settings_of(item: ast.ClassDef) -> list[str]:
    """Fields of a dataclass that can be set."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in item.decorator_list):
        return []
    fields = [
        node for node in item.body if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation)
    ]
    hidden = [
        node for node in fields if node.value is not None and "init=False" in ast.unparse(node.value).replace(" ", "")
    ]
    return [ast.unparse(node.target) for node in fields if node not in hidden]


def too_large(module) -> list[str]:
    """Everything in a module that is over its limit."""
    problems = []
    lines = module.text.count("\n")
    if lines > FILE_LINES:
        problems.append(module.at(module.tree, f"{lines} lines, at most {FILE_LINES}"))
    for name, function in module.functions():
        if (size := code_lines(function)) > FUNCTION_LINES:
            problems.append(
                module.at(function, f"{name} has {size} lines without its docstring, at most {FUNCTION_LINES}")
            )
        if (count := argument_count(function)) > ARGUMENTS:
            problems.append(module.at(function, f"{name} has {count} arguments, at most {ARGUMENTS}"))
    for item in module.classes():
        methods = {node.name for node in item.body if isinstance(node, ast.FunctionDef)}
        if methods & PART_METHODS and len(fields := settings_of(item)) > SETTINGS:
            problems.append(
                module.at(item, f"the part {item.name} has {len(fields)} settings, at most {SETTINGS}: make two parts")
            )
    return problems


def crowded(paths: list[Path]) -> list[str]:
    """Folders with too many modules; `__init__` and `conftest` do not count."""
    count = Counter(path.parent for path in paths if path.stem not in ("__init__", "conftest"))
    over = {folder: n for folder, n in count.items() if n > FOLDER_FILES and folder.name not in ONE_FILE_PER_SYSTEM}
    return [f"{folder}: {n} modules, at most {FOLDER_FILES}" for folder, n in sorted(over.items())]


def test_source_is_small(source):
    problems = [problem for module in source for problem in too_large(module)]
    assert not problems, "\n".join(problems)


def test_tests_are_small(root):
    files = [path for folder in ("tests", "benchmarks", "docs", "examples") for path in (root / folder).rglob("*.py")]
    lines = {str(path.relative_to(root)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert not {path: n for path, n in lines.items() if n > FILE_LINES}


def test_folders_are_small(root):
    # Tests have the folders of what they test, and may have several files per module.
    problems = crowded([p for folder in ("src", "benchmarks") for p in (root / folder).rglob("*.py")])
    assert not problems, "\n".join(problems)


def test_rules_see_violations(parse):
    body = "\n".join(f"    x{i} = {i}" for i in range(FUNCTION_LINES))
    assert too_large(parse(f"def f():\n{body}\n"))
    docstring = '    """' + "\n\n" * 30 + '    """\n'
    assert not too_large(parse(f"def f():\n{docstring}    return 1\n"))
    assert too_large(parse("def f(a, b, c, d, e, *, g, h, i): ...\n"))
    assert not too_large(parse("class A:\n    def f(self, a, b, c, d, e, g, h): ...\n"))
    assert too_large(parse("\n" * (FILE_LINES + 1)))
    fields = "\n".join(f"    s{i}: int = 0" for i in range(SETTINGS + 1))
    call = "    def __call__(self, forest): ..."
    assert too_large(parse(f"@dataclass(frozen=True)\nclass Part:\n{fields}\n{call}\n"))
    assert not too_large(parse(f"@dataclass(frozen=True)\nclass Record:\n{fields}\n"))
    assert crowded([Path("a") / f"m{i}.py" for i in range(FOLDER_FILES + 1)])
    assert not crowded([Path("recipes") / f"m{i}.py" for i in range(50)])
