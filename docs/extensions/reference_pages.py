"""The reference, made from the syntax trees: every public module, class, function and field, with its docstring.

Nothing is imported, so the reference is the same with and without optional packages. A public name without a docstring
stops the build.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

from method_pages import DOCS, ROOT, write

PACKAGE = ROOT / "src" / "milepost"
SECTION = re.compile(r"(Args|Returns|Yields|Raises|Source|Limits|Example|Examples|Note|Notes):\s*(.*)")
SPECIAL = re.compile(r"([*_<>\[\]{}$|\\])")
TITLES = {"Args": "Arguments"}


@dataclass
class Symbol:
    """One public name."""

    kind: str
    """Of "function", "class", "method", "staticmethod", "property", "attribute", "data"."""
    name: str
    """Name inside its module, such as "Forest.select"."""
    signature: str = ""
    doc: str = ""
    options: dict[str, str] = field(default_factory=dict)


class Undocumented(Exception):
    """A public name has no docstring."""


def is_public(name: str) -> bool:
    """Whether a name is public."""
    return not name.startswith("_")


def doc_after(body: list[ast.stmt], index: int) -> str:
    """Return the string that stands directly after a statement, as documentation of what it assigns."""
    following = body[index + 1] if index + 1 < len(body) else None
    if (
        isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
        and isinstance(following.value.value, str)
    ):
        return following.value.value
    return ""


def signature(function: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool) -> str:
    """Return the parameters and the result as text, without self and cls."""
    arguments = ast.unparse(function.args)
    if method:
        arguments = re.sub(r"^(self|cls)(, )?", "", arguments)
        arguments = re.sub(r"^/, ", "", arguments)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns is not None else ""
    return f"({arguments}){returns}"


def method_kind(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return how a method is shown."""
    names = {ast.unparse(decorator) for decorator in function.decorator_list}
    if names & {"property", "cached_property", "functools.cached_property"}:
        return "property"
    return "staticmethod" if "staticmethod" in names else "classmethod" if "classmethod" in names else "method"


def members(item: ast.ClassDef) -> list[Symbol]:
    """Return the public fields and methods of a class."""
    found = []
    for index, node in enumerate(item.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and is_public(node.target.id):
            options = {"type": ast.unparse(node.annotation)}
            if node.value is not None and len(ast.unparse(node.value)) < 60:
                options["value"] = ast.unparse(node.value)
            doc = doc_after(item.body, index)
            found.append(Symbol("attribute", f"{item.name}.{node.target.id}", "", doc, options))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            is_public(node.name) or node.name == "__call__"
        ):
            kind = method_kind(node)
            shown = "" if kind == "property" else signature(node, method=kind != "staticmethod")
            options = {"type": ast.unparse(node.returns)} if kind == "property" and node.returns else {}
            found.append(Symbol(kind, f"{item.name}.{node.name}", shown, ast.get_docstring(node) or "", options))
    return found


def symbols(tree: ast.Module) -> list[Symbol]:
    """Return the public names of a module, in its order; constants only where they are documented."""
    found = []
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            found.append(Symbol("function", node.name, signature(node, method=False), ast.get_docstring(node) or ""))
        elif isinstance(node, ast.ClassDef) and is_public(node.name):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            found.append(
                Symbol("class", node.name, "", ast.get_docstring(node) or "", {"bases": bases} if bases else {})
            )
            found += members(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and doc_after(tree.body, index):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and is_public(target.id):
                found.append(Symbol("data", target.id, "", doc_after(tree.body, index)))
    return found


def undocumented(module: str, tree: ast.Module) -> list[str]:
    """Return the public names of a module that lack a docstring. Fields may speak for themselves."""
    lacking = [] if ast.get_docstring(tree) else [module]
    wanted = [symbol for symbol in symbols(tree) if symbol.kind not in ("attribute", "data")]
    return lacking + [f"{module}.{s.name}" for s in wanted if not s.doc and not s.name.endswith("__call__")]


def escape(text: str) -> str:
    """Escape Markdown outside of code spans."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(piece if piece.startswith("`") else SPECIAL.sub(r"\\\1", piece) for piece in pieces)


def prose(lines: list[str]) -> list[str]:
    """Return a docstring's text as Markdown: indented blocks are formulas and become code."""
    out: list[str] = []
    block: list[str] = []

    def close() -> None:
        while block and not block[-1]:
            block.pop()
        if block:
            out.extend(["", "```text", *(line[4:] for line in block), "```", ""])
        block.clear()

    for line in lines:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        else:
            close()
            out.append(escape(line))
    close()
    return out


def entries(lines: list[str]) -> list[str]:
    """Return the lines of an Args, Raises or Returns section as Markdown."""
    out = []
    for line in lines:
        head = re.match(r"    (\*{0,2}[\w.]+(?:, [\w.]+)*): (.*)", line)
        if head:
            out.append(f"- `{head.group(1)}`: {escape(head.group(2))}")
        elif line.strip():
            out.append(("  " if out and out[-1].startswith(("- ", "  ")) else "") + escape(line.strip()))
    return out


def example(lines: list[str]) -> list[str]:
    """Return the lines of an Example section as Markdown: a session of the interpreter, or prose."""
    if not any(line.lstrip().startswith(">>>") for line in lines):
        return [escape(line.strip()) for line in lines]
    return ["```pycon", *(line[4:] for line in lines if line.strip()), "```"]


def markdown(doc: str) -> list[str]:
    """Return a docstring as Markdown."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in doc.splitlines():
        head = SECTION.fullmatch(line)
        if head:
            parts.append((head.group(1), [f"    {head.group(2)}"] if head.group(2) else []))
        else:
            parts[-1][1].append(line)
    out = prose(parts[0][1])
    for title, lines in parts[1:]:
        shown = example(lines) if title.startswith("Example") else entries(lines)
        out += ["", f"**{TITLES.get(title, title)}**", "", *shown]
    return out


def directive(symbol: Symbol) -> list[str]:
    """Return a symbol as a fenced directive of Sphinx's Python domain."""
    head = f"``````{{py:{symbol.kind}}} {symbol.name}{symbol.signature}"
    options = [f":{name}: {value}" for name, value in symbol.options.items() if name != "bases"]
    bases = ["", f"Bases: `{symbol.options['bases']}`"] if "bases" in symbol.options else []
    return [head, *options, *bases, "", *markdown(symbol.doc), "``````", ""]


def contents(names: list[str]) -> list[str]:
    """Return a list of pages as a table of contents."""
    return ["```{toctree}", ":maxdepth: 1", "", *names, "```", ""] if names else []


def module_page(module: str, tree: ast.Module, inside: list[str]) -> str:
    """Return the reference page of a module, with the modules of a package below it."""
    lines = [f"# {module}", "", f"```{{py:module}} {module}", "```", "", *markdown(ast.get_docstring(tree) or ""), ""]
    for symbol in symbols(tree):
        lines += directive(symbol)
    return "\n".join(lines + contents(inside))


def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every public module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE.parent).with_suffix("")
        names = inside.parts[:-1] if inside.name == "__init__" else inside.parts
        if all(is_public(name) for name in names):
            found[".".join(names)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def inside(module: str, names: list[str]) -> list[str]:
    """Return the modules directly below a package."""
    return [name for name in names if name.rpartition(".")[0] == module]


def index(names: list[str]) -> str:
    """Return the contents page of the reference."""
    about = "Every public name, by module. Recipes are described under [Methods](../methods/index.md)."
    return "\n".join(["# Reference", "", about, "", *contents(names)])


def write_pages(app: object) -> None:  # noqa: ARG001 - what Sphinx calls its listeners with
    """Write the reference; called by Sphinx before it reads its sources.

    Raises:
        Undocumented: a public name has no docstring.
    """
    found = {name: tree for name, tree in modules().items() if not name.startswith("milepost.recipes.")}
    lacking = [name for module, tree in found.items() for name in undocumented(module, tree)]
    if lacking:
        raise Undocumented(f"These public names have no docstring: {', '.join(lacking)}.")
    folder: Path = DOCS / "generated" / "reference"
    for stale in folder.glob("*.md"):
        if stale.stem not in {*found, "index"}:
            stale.unlink()
    for name, tree in found.items():
        write(folder / f"{name}.md", module_page(name, tree, inside(name, list(found)) if name != "milepost" else []))
    write(folder / "index.md", index(["milepost", *inside("milepost", list(found))]))


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
