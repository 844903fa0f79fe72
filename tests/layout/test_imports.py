"""Imports go one way: root modules <- stages <- recipes <- engines, report, cli. All imports count, also those inside
functions and under TYPE_CHECKING: a dependency that only a type needs is a dependency."""

from __future__ import annotations

import ast
import sys

STAGES = (
    "environments", "policies", "sampling", "rewards", "credit", "objectives", "exploration", "curation", "evaluation",
    "planning",
)  # fmt: skip

# Folder -> folders it may import from, besides itself. "root" is every top-level module.
#   jail     runs model-written code; a recipe gives a reward its jail, as it gives it a judge: a stage's neighbour.
#   programs a program that nobody vouches for, its limits and its answer: what a reward gives to a jail.
#   traces   the record of a stored conversation, which bridges fill and curation reads without a forest.
#   images   a data set of images and models of it, kept: what a policy learns to draw and a reward to recognise; PNG.
#   bridges  turn foreign formats into forests and back; they know the data model only.
#   testing  checks parts, recipes and whole runs of the user's: above the engines, below the command.
ALLOWED: dict[str, tuple[str, ...]] = {
    "root": (),
    "traces": ("root",),
    "programs": ("root",),
    "images": ("root",),
    **dict.fromkeys(STAGES, ("root", "traces", "programs", "images")),
    "jail": ("root", "programs"),
    "bridges": ("root", "traces"),
    "recipes": ("root", "traces", "programs", "jail", "bridges", *STAGES),
    "engines": ("root", "traces", "programs", "jail", "bridges", "recipes", *STAGES),
    "report": ("root", "traces", "images", "bridges", "recipes", "engines", *STAGES),
    "testing": ("root", "traces", "programs", "jail", "bridges", "recipes", "engines", *STAGES),
    "cli": ("root", "traces", "programs", "jail", "bridges", "recipes", "engines", "report", "testing", *STAGES),
}

# Third-party packages that a plain `pip install milepost[torch]` brings. Everything else is optional and is imported
# where it is used, so that its absence can be explained (milepost.optional).
INSTALLED = {"jaxtyping", "numpy", "pyarrow", "rich", "safetensors", "tomli_w", "torch", "tyro"}
# A folder that is itself imported only where it is used may import what its extra brings.
FOLDER_EXTRA = {"report": {"jinja2", "markupsafe"}}


def imports_of(module) -> list[tuple[ast.stmt, str]]:
    """Every import of a module with the dotted name it reaches."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            found += [(node, str(a.value)) for a in node.args[:1] if isinstance(a, ast.Constant)]
    return found


def folder_of(dotted: str, folders: set[str]) -> str:
    """Folder of the package that an imported milepost name lies in."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in folders else "root"


def wrong_direction(module) -> list[str]:
    """Imports that the table does not allow."""
    if module.folder not in ALLOWED:
        return [module.at(module.tree, f"folder {module.folder!r} is not in the table of tests/layout/test_imports.py")]
    allowed = {module.folder, *ALLOWED[module.folder]}
    problems = []
    for node, dotted in imports_of(module):
        if dotted.split(".")[0] == "milepost" and folder_of(dotted, set(ALLOWED)) not in allowed:
            target = folder_of(dotted, set(ALLOWED))
            problems.append(module.at(node, f"{module.folder} may not import {dotted} ({target})"))
    return problems


def eager_optional(module) -> list[str]:
    """Optional packages imported when the module is imported."""
    problems = []
    installed = INSTALLED | FOLDER_EXTRA.get(module.folder, set()) | set(sys.stdlib_module_names) | {"milepost"}
    pending: list[ast.AST] = [module.tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            package = name.split(".")[0]
            if package not in installed:
                problems.append(
                    module.at(node, f"{package} is optional: import it where it is used (milepost.optional.load)")
                )
        pending += ast.iter_child_nodes(node)
    return problems


def test_imports_go_one_way(source):
    problems = [problem for module in source for problem in wrong_direction(module)]
    assert not problems, "\n".join(problems)


def test_root_modules_form_no_cycle(source):
    edges = {}
    for module in (m for m in source if m.folder == "root"):
        names = [dotted for _, dotted in imports_of(module)]
        roots = {m.name for m in source if m.folder == "root" and m.name != "milepost"}
        edges[module.name] = {r for r in roots for n in names if n == r or n.startswith(r + ".")} - {module.name}
    done: list[str] = []
    while edges:
        free = sorted(name for name, needs in edges.items() if needs <= set(done))
        assert free, f"the root modules import each other in a circle: { {k: sorted(v) for k, v in edges.items()} }"
        done += free
        edges = {name: needs for name, needs in edges.items() if name not in free}


def test_optional_packages_are_imported_where_used(source):
    problems = [problem for module in source for problem in eager_optional(module)]
    assert not problems, "\n".join(problems)


def test_rules_see_every_form_of_import(parse):
    hidden = parse(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from milepost.rewards.outcome import Outcome\n"
    )
    assert len(wrong_direction(hidden)) == 1
    inside = parse("def f():\n    import milepost.engines.local\n")
    assert len(wrong_direction(inside)) == 1
    assert wrong_direction(parse("from milepost import rewards\n"))
    assert wrong_direction(parse("import importlib\nimportlib.import_module('milepost.sampling.tree')\n"))
    assert not wrong_direction(parse("from milepost import checks\nfrom milepost.credit import group\n"))
    assert wrong_direction(parse("import milepost.cli\n", "src/milepost/engines/local.py"))
    assert wrong_direction(parse("", "src/milepost/novel/thing.py"))
    assert eager_optional(parse("import transformers\n"))
    assert eager_optional(parse("class A:\n    from peft import LoraConfig\n"))
    assert not eager_optional(parse("def f():\n    import transformers\n"))
