"""`milepost list`: the recipes, read from their cards without importing them."""

from __future__ import annotations

from collections.abc import Sequence

from milepost import recipe
from milepost.cli import output
from milepost.errors import unknown_name

DOMAINS = ("text", "agent", "flow", "control", "planning", "vision")
JOBS = ("train", "search", "curate", "evaluate")


def main(argv: Sequence[str]) -> int:
    """List recipes.

    With --json: an array of one object per recipe, with `name`, `title`, `year`, `domains`, `job`, `summary`,
    `paper`, `parts` (part to what it computes) and `claims` (claim to the test that measures it).
    """
    parser = output.Parser(prog="milepost list", description="List the recipes.")
    parser.add_argument("--domain", help="only recipes of this domain: " + ", ".join(DOMAINS))
    parser.add_argument("--job", help="only recipes that do this job: " + ", ".join(JOBS))
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    options = parser.parse_args(argv)
    if options.domain and options.domain not in DOMAINS:
        raise unknown_name("domain", options.domain, DOMAINS)
    if options.job and options.job not in JOBS:
        raise unknown_name("job", options.job, JOBS)
    cards = {name: recipe.card(name) for name in recipe.names()}
    kept = {
        name: card
        for name, card in cards.items()
        if (not options.domain or options.domain in card.domains) and (not options.job or options.job == card.job)
    }
    if options.json:
        output.document([_row(name, card) for name, card in kept.items()])
    elif kept:
        rows = [(name, str(card.year), card.job, ", ".join(card.domains), card.title) for name, card in kept.items()]
        output.say(output.table([("recipe", "year", "job", "domains", "title"), *rows]))
        output.say("\nNext: milepost explain <recipe>")
    else:
        output.say("No recipe fits. Next: milepost list")
    return output.DONE


def _row(name: str, card: recipe.Card) -> dict[str, object]:
    return {
        "name": name,
        "title": card.title,
        "year": card.year,
        "domains": card.domains,
        "job": card.job,
        "summary": card.summary,
        "paper": card.paper,
        "parts": card.parts,
        "claims": card.claims,
    }
