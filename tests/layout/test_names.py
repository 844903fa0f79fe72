"""Names say what a module holds, and nothing names the machine it was written on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

BANNED_MODULES = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core", "tools", "stuff", "lib"}
BANNED_SETTINGS = {"mode", "kwargs_dict", "flag"}
SETTING_LISTS = ("src", "docs", "tests", "benchmarks", "examples", "requirements", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".html", ".css", ".json", ".cfg", ""}
# Spelled in pieces, so that this file does not contain what it looks for.
PLACE = re.compile(r"(?<![\w.~}\)])/(?:" + "|".join(("ro" + "ot", "wo" + "rk", "tm" + "p", "ho" + "me")) + r")(?:/|\b)")
REGISTRY = re.compile(r"https?://[^\s)\"']*(?:pythonhosted|pypi\.|/simple(?:/|\s|$)|/whl(?:/|\s|$)|npmjs|deb\.debian)")


def banned_module_name(module) -> list[str]:
    """Module and folder names that say nothing."""
    parts = set(module.name.split("."))
    return [module.at(module.tree, f"the name {part!r} says nothing") for part in sorted(parts & BANNED_MODULES)]


def banned_settings(module) -> list[str]:
    """Parameters and fields that choose between formulas: a choice between formulas is a choice between parts."""
    problems = []
    for name, function in module.functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        problems += [module.at(function, f"{name}({a.arg}=...)") for a in arguments if a.arg in BANNED_SETTINGS]
    for item in module.classes():
        fields = [f.target.id for f in item.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)]
        problems += [module.at(item, f"{item.name}.{f}") for f in fields if f in BANNED_SETTINGS]
    return problems


def shipped(root: Path) -> list[Path]:
    """Text files that belong to the repository."""
    files = [path for path in root.iterdir() if path.is_file()]
    for folder in SETTING_LISTS:
        files += [p for p in (root / folder).rglob("*") if p.is_file() and not {"_build", "generated"} & set(p.parts)]
    return sorted(p for p in files if p.suffix in TEXT and "__pycache__" not in p.parts and ".egg-info" not in str(p))


def named_places(text: str) -> list[str]:
    """Lines that name a folder of one machine or the host of a package registry."""
    lines = enumerate(text.splitlines(), 1)
    return [f"{number}: {line.strip()[:120]}" for number, line in lines if PLACE.search(line) or REGISTRY.search(line)]


def test_module_names(source):
    problems = [problem for module in source for problem in banned_module_name(module)]
    assert not problems, "\n".join(problems)


def test_no_mode_settings(source):
    problems = [problem for module in source for problem in banned_settings(module)]
    assert not problems, "\n".join(problems)


def test_no_machine_is_named(root):
    problems = []
    for path in shipped(root):
        if path.name != ".git":
            text = path.read_text(encoding="utf-8", errors="replace")
            problems += [f"{path.relative_to(root)}:{line}" for line in named_places(text)]
    assert not problems, "\n".join(problems)


def test_rules_see_violations(parse):
    assert banned_module_name(parse("", "src/milepost/credit/utils.py"))
    assert not banned_module_name(parse("", "src/milepost/credit/group.py"))
    assert banned_settings(parse("def f(*, mode='mean'): ...\n"))
    assert banned_settings(parse("class A:\n    mode: str = 'mean'\n"))
    place = "/" + "wo" + "rk"
    assert named_places(f"cd {place}/x")
    assert named_places(f'"{place}"')
    assert not named_places("src" + place + "/x")
    index = "https" + "://example.org/simple"
    assert named_places(index)
    assert named_places(index + "/x")
    assert not named_places(index + "-text")
