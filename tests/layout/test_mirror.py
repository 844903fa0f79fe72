"""tests/ mirrors src/: what a module promises is found by its name."""

from __future__ import annotations

import ast
from pathlib import Path

# Test folders that look at the project as a whole, not at one folder of the package.
WHOLE = {"layout", "docs", "benchmarks", "data"}


def has_code(module) -> bool:
    """Whether a module does anything: protocols, records and errors without methods of their own need no test."""
    protocols = [item for item in module.classes() if any("Protocol" in ast.unparse(base) for base in item.bases)]
    declared = {id(node) for item in protocols for node in item.body}
    return any(id(function) not in declared for _, function in module.functions())


def expected_test(module) -> str:
    """Path of the test file of a module."""
    inner = module.path.removeprefix("src/milepost/").removesuffix(".py").split("/")
    name = inner[-1] if inner[-1] != "__init__" else (inner[-2] if len(inner) > 1 else "milepost")
    return "/".join(["tests", *inner[:-1], f"test_{name.strip('_')}.py"])


def orphans(tests: list[str], modules: list[str]) -> list[str]:
    """Test files named for a module that does not exist; test_<module>_<aspect>.py is fine. `modules` are the package's
    and the oracles that stand beside the tests."""
    found = []
    for test in tests:
        folder, _, name = test.removeprefix("tests/").rpartition("/")
        known = [m.rpartition("/")[2] for m in modules if m.rpartition("/")[0] == folder]
        stem = name.removeprefix("test_").removesuffix(".py")
        whole = folder.split("/")[0] in WHOLE
        package = stem == folder.rpartition("/")[2]
        if not whole and not package and not any(stem == k or stem.startswith(f"{k}_") for k in known):
            found.append(test)
    return found


def test_every_module_has_its_tests(source, root):
    lacking = [
        f"{m.path} has no {expected_test(m)}" for m in source if has_code(m) and not (root / expected_test(m)).is_file()
    ]
    assert not lacking, "\n".join(lacking)


def test_every_test_has_its_module(source, root):
    modules = [m.path.removeprefix("src/milepost/").removesuffix(".py") for m in source]
    modules += [
        path.relative_to(root / "tests").with_suffix("").as_posix() for path in (root / "tests").rglob("[!t_]*.py")
    ]
    tests = [path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("test_*.py"))]
    lost = orphans(tests, modules)
    assert not lost, f"no module of that name (use test_<module>_<aspect>.py for a part of one): {lost}"


def test_tests_keep_no_state_behind(root):
    stray = [
        str(p.relative_to(root))
        for p in root.iterdir()
        if p.name in ("results", "output", "outputs", "tb_logs", "wandb")
    ]
    assert not stray, f"something wrote into the repository: {stray}"


def test_rules(parse):
    assert not has_code(parse("class A(Protocol):\n    def f(self): ...\n@dataclass\nclass B:\n    x: int = 0\n"))
    assert has_code(parse("class B:\n    def f(self): ...\n"))
    assert expected_test(parse("", "src/milepost/credit/group.py")) == "tests/credit/test_group.py"
    assert expected_test(parse("", "src/milepost/forest.py")) == "tests/test_forest.py"
    assert expected_test(parse("", "src/milepost/cli/__init__.py")) == "tests/cli/test_cli.py"
    modules = ["credit/group", "forest"]
    assert (
        orphans(["tests/credit/test_group.py", "tests/credit/test_group_claims.py", "tests/test_forest.py"], modules)
        == []
    )
    assert orphans(["tests/credit/test_groups.py", "tests/test_trees.py"], modules) == [
        "tests/credit/test_groups.py",
        "tests/test_trees.py",
    ]
    assert orphans([str(Path("tests/layout/test_anything.py"))], modules) == []
