"""`milepost cite`: BibTeX of a recipe, or of what a run used, and of milepost."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import milepost
from milepost import recipe
from milepost.cli import output

OWN = f"""@software{{milepost,
  title = {{milepost: reward-guided trajectory sampling on a forest of steps}},
  author = {{{{The milepost authors}}}},
  version = {{{milepost.__version__}}},
  year = {{2026}},
  license = {{Apache-2.0}}
}}"""
"""BibTeX of milepost itself."""


def main(argv: Sequence[str]) -> int:
    """Print citations.

    With --json: an object with `recipe`, `paper` and `bibtex` (an array of entries, the recipe's first).
    """
    parser = output.Parser(prog="milepost cite", description="BibTeX of a recipe, or of what a run used.")
    parser.add_argument("target", metavar="recipe-or-run", help="a recipe's name or a run's folder")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    name = recipe_of(options.target)
    card = recipe.card(name)
    entries = [inspect.cleandoc(card.bibtex), OWN]
    if options.json:
        output.document({"recipe": name, "paper": card.paper, "bibtex": entries})
    else:
        output.say("\n\n".join(entries))
    return output.DONE


def recipe_of(target: str) -> str:
    """Name of the recipe that a word means: itself, or the recipe of a run's folder."""
    folder = Path(target)
    if target in recipe.names() or not (folder / "run.toml").is_file():
        return target
    from milepost.engines import toml_file

    return str(toml_file.read_mapping(folder / "run.toml").get("recipe", ""))
