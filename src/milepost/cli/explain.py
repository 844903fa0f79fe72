"""`milepost explain`: what a recipe is made of, how it departs from its paper, and what it claims."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from milepost import recipe
from milepost.cli import build_settings, cite, output

WIDTH = 100


def main(argv: Sequence[str]) -> int:
    """Explain one recipe.

    With --json: an object with every field of the card (`title`, `paper`, `year`, `domains`, `job`, `summary`, `parts`,
    `claims`, `departs`, `advice`, `bibtex`), `name`, and `settings`: an array of `name`, `type`, `default`, `doc`.
    """
    parser = output.Parser(prog="milepost explain", description="Explain one recipe.")
    parser.add_argument("recipe", help="name of a recipe, see milepost list")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args(argv)
    name = cite.recipe_of(options.recipe)
    card = recipe.card(name)
    settings = build_settings.of(name)
    if options.json:
        listed = [{"name": one.name, "type": one.type_name, "default": one.default, "doc": one.doc} for one in settings]
        output.document({"name": name, **asdict(card), "settings": listed})
    else:
        output.say(_text(name, card, settings))
    return output.DONE


def _text(name: str, card: recipe.Card, settings: Sequence[build_settings.Setting]) -> str:
    shown = {one.name: f"{one.type_name}, default {one.default!r}. {one.doc}".rstrip() for one in settings}
    parts = [
        f"{name}: {card.title} ({card.year})",
        f"{card.paper}   job: {card.job}   domains: {', '.join(card.domains)}",
        _wrapped(card.summary, ""),
        _section("Parts", card.parts),
        _section("Settings", shown),
        _section("Claims, and the tests that measure them", card.claims),
        _list("Departs from the paper", card.departs),
        _list("When to use it, and what it costs", card.advice),
        f"Next: {_command(name, card)} --help   |   milepost check {name}   |   milepost cite {name}",
    ]
    return "\n\n".join(part for part in parts if part)


def _command(name: str, card: recipe.Card) -> str:
    """What runs a recipe: those that curate stored conversations have no run."""
    return "milepost triage" if card.job == "curate" else f"milepost run {name}"


def _wrapped(text: str, indent: str, hanging: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent + hanging)


def _section(title: str, entries: Mapping[str, str]) -> str:
    if not entries:
        return ""
    return "\n".join([f"{title}:", *(_wrapped(f"{key}: {text}", "  ", "    ") for key, text in entries.items())])


def _list(title: str, entries: Iterable[str]) -> str:
    lines = [_wrapped(f"- {entry}", "  ", "  ") for entry in entries]
    return "\n".join([f"{title}:", *lines]) if lines else ""
