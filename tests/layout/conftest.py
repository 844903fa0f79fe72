"""The source as syntax trees. Every layout rule is a function of one `Module`, so that a bad example can test it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "milepost"


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    """Dotted name, such as "milepost.credit.group"; a package's `__init__` has the package's name."""
    path: str
    """Path below the repository, for messages."""
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @property
    def folder(self) -> str:
        """First folder below the package; "root" for its top-level modules."""
        inner = self.path.removeprefix("src/milepost/").split("/")
        return inner[0] if len(inner) > 1 else "root"

    def functions(self) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every function and method, at any depth, with its name inside the module."""
        found: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]] = []

        def visit(node: ast.AST, prefix: str) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.append((f"{prefix}{child.name}", child))
                    visit(child, f"{prefix}{child.name}.")
                elif isinstance(child, ast.ClassDef):
                    visit(child, f"{prefix}{child.name}.")
                else:
                    visit(child, prefix)

        visit(self.tree, "")
        return found

    def classes(self) -> list[ast.ClassDef]:
        """Every class at any depth."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    def at(self, node: ast.AST, message: str) -> str:
        """A message with its place."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {message}"


def _read(path: Path) -> Module:
    inside = path.relative_to(ROOT / "src").with_suffix("")
    parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
    return Module(".".join(parts), str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def source() -> list[Module]:
    """Every module of the package."""
    return [_read(path) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.fixture(scope="session")
def parse() -> Callable[..., Module]:
    """Make a module from text, as if it stood at `path`."""

    def make(text: str, path: str = "src/milepost/credit/example.py") -> Module:
        name = path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return Module(name, path, text)

    return make
