"""Pages, tables and guides made from the cards of the recipes. Cards are read as literals: no recipe is imported.

As a Sphinx extension it writes docs/generated/methods. As a program (`make cards`) it rewrites what is kept in the
repository: the table in README.md, SKILL.md and docs/llms.txt.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from milepost import recipe
from milepost.recipe import Card

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
BEGIN, END = "<!-- recipes: written by `make cards` -->", "<!-- end of recipes -->"
STAGES = {
    "choice": "Which tasks", "sampler": "How to sample", "sampling": "How to sample", "policy": "Who acts",
    "environment": "Tasks", "reward": "Reward", "rewards": "Rewards", "credit": "Credit", "objective": "Objective",
}  # fmt: skip


def cards() -> dict[str, Card]:
    """Return every recipe's card by name."""
    return {name: recipe.card(name) for name in recipe.names()}


def cell(text: str) -> str:
    """Escape text for a table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def paper_link(paper: str) -> str:
    """Return a Markdown link for an arXiv number, other references as they are."""
    kind, _, number = paper.partition(":")
    return f"[{paper}](https://arxiv.org/abs/{number})" if kind == "arXiv" and number else paper


def table(found: Mapping[str, Card], link: str = "{name}.md") -> str:
    """Return the table of methods, one row per recipe.

    Args:
        found: cards by recipe name.
        link: where a recipe's name leads; "{name}" and "{stem}" are filled in, an empty text makes no link.

    Returns:
        A Markdown table.
    """
    lines = ["| recipe | method | year | domains | job | what it does |", "|---|---|---|---|---|---|"]
    for name, card in found.items():
        target = link.format(name=name, stem=name.replace("-", "_"))
        label = f"[`{name}`]({target})" if target else f"`{name}`"
        fields = (label, cell(card.title), card.year, ", ".join(card.domains), card.job, cell(card.summary))
        lines.append("| " + " | ".join(str(field) for field in fields) + " |")
    return "\n".join(lines)


def build_settings(name: str) -> list[tuple[str, str, str]]:
    """Return name, type and default of each setting of a recipe, read from its file.

    Args:
        name: recipe name.

    Returns:
        One (name, type, default) for each keyword of `build`.
    """
    path = recipe.FOLDER / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        return []
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            return [
                (a.arg, ast.unparse(a.annotation) if a.annotation else "", ast.unparse(d) if d else "")
                for a, d in pairs
            ]
    return []


def page(name: str, card: Card) -> str:
    """Return the page of one method.

    Args:
        name: recipe name.
        card: its card.

    Returns:
        Markdown.
    """
    lines = [f"# {card.title}", "", card.summary, ""]
    lines += [f"Paper: {paper_link(card.paper)}, {card.year}. Domains: {', '.join(card.domains)}. Job: {card.job}.", ""]
    lines += ["```console", f"$ milepost run {name}", f"$ milepost explain {name}", "```", ""]
    lines += ["## Parts", "", "| part | what it computes |", "|---|---|"]
    lines += [f"| {STAGES.get(part, part)} | {cell(what)} |" for part, what in card.parts.items()]
    settings = build_settings(name)
    if settings:
        lines += ["", "## Settings", "", "| setting | type | default |", "|---|---|---|"]
        lines += [f"| `{setting}` | `{cell(kind)}` | `{cell(default)}` |" for setting, kind, default in settings]
    if card.advice:
        lines += ["", "## When to use it", "", *(f"- {' '.join(line.split())}" for line in card.advice)]
    lines += ["", "## What it claims, and the test that measures it", ""]
    lines += [f"- {' '.join(claim.split())}: `{test}`" for claim, test in card.claims.items()]
    lines += ["", "## Departures from the paper", ""]
    lines += [f"- {' '.join(line.split())}" for line in card.departs] or ["None."]
    lines += ["", "## Citation", "", "```bibtex", card.bibtex.strip(), "```", ""]
    return "\n".join(lines)


def overview(found: Mapping[str, Card]) -> str:
    """Return the page that lists all methods, in one table and by domain."""
    lines = ["# Methods", "", "Each method is one file that composes parts. This page and the pages below it are made"]
    lines += ["from the recipes' cards.", "", table(found), ""]
    for domain in sorted({domain for card in found.values() for domain in card.domains}):
        members = [f"[{card.title}]({name}.md)" for name, card in found.items() if domain in card.domains]
        lines += [f"{domain.capitalize()}", f": {', '.join(members)}", ""]
    lines += ["```{toctree}", ":hidden:", "", *found, "```", ""]
    return "\n".join(lines)


def llms_text(found: Mapping[str, Card]) -> str:
    """Return the index for language models (llms.txt)."""
    lines = [
        "# milepost",
        "",
        "> A Python library and a command for reward-guided trajectory sampling: it grows trajectories,",
    ]
    lines += [
        "> scores their steps, turns scores into credit, and trains, curates, searches or evaluates with the result.",
        "",
    ]
    lines += ["## Documentation", "", "- tutorial.html: the demo, explained", "- how-to/reward.html: write a reward"]
    lines += ["- how-to/credit.html: write a credit rule", "- how-to/recipe.html: write a recipe"]
    lines += ["- choose.html: which method, reward and credit rule", "- glossary.html: what the words mean"]
    lines += ["- generated/reference/index.html: every public name", "", "## Recipes", ""]
    lines += [f"- {name}: {card.title} ({card.year}). {' '.join(card.summary.split())}" for name, card in found.items()]
    return "\n".join(lines) + "\n"


def skill(found: Mapping[str, Card]) -> str:
    """Return the guide for coding agents (SKILL.md)."""
    text = (DOCS / "extensions" / "skill.md.in").read_text(encoding="utf-8")
    return text.replace("@RECIPES@", table(found, link=""))


def with_table(readme: str, found: Mapping[str, Card]) -> str:
    """Return the README with its table of recipes brought up to date."""
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{table(found, link='src/milepost/recipes/{stem}.py')}\n{END}{rest.split(END)[1]}"


def kept_files(found: Mapping[str, Card]) -> dict[Path, str]:
    """Return the files of the repository that are made from the cards, with what they must hold."""
    readme = ROOT / "README.md"
    return {
        readme: with_table(readme.read_text(encoding="utf-8"), found),
        ROOT / "SKILL.md": skill(found),
        DOCS / "llms.txt": llms_text(found),
    }


def write(path: Path, text: str) -> None:
    """Write a file unless it already holds the text, so that unchanged pages are not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages(app: object) -> None:  # noqa: ARG001 - what Sphinx calls its listeners with
    """Write the generated method pages; called by Sphinx before it reads its sources."""
    found = cards()
    folder = DOCS / "generated" / "methods"
    for stale in folder.glob("*.md"):
        if stale.stem not in {*found, "index"}:
            stale.unlink()
    for name, card in found.items():
        write(folder / f"{name}.md", page(name, card))
    write(folder / "index.md", overview(found))


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    for target, content in kept_files(cards()).items():
        write(target, content)
